// Quick is a function that starts as fast as a program can: for the tests.
package main

import (
	"net"
	"os"
)

func main() {
	ln, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		panic(err)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 64<<10)
			for {
				if _, err := conn.Read(buf); err != nil { // a GET comes in one piece
					return
				}
				if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")); err != nil {
					return
				}
			}
		}()
	}
}
