package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Screen tells a person what happens, a line each. Its methods may be called
// from any goroutine and never wait for the terminal.
type Screen struct {
	out    io.Writer
	colour bool
	lines  chan string
	lost   atomic.Int64 // lines that found no room

	mu       sync.Mutex // guards all below
	tallies  map[string]*tally
	listened map[string]bool // instances that have, by function and name
}

const (
	// room is how many lines may wait for the terminal.
	room = 1024
	// Of the calls of one function, this many are told in a second; the others
	// are told together.
	toldEach  = 10
	toldEvery = time.Second
	lookEvery = 100 * time.Millisecond
)

// NewScreen makes a Screen that writes to out. Nothing is written before Run.
func NewScreen(out *os.File) *Screen {
	return &Screen{
		out:      out,
		colour:   isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		lines:    make(chan string, room),
		tallies:  map[string]*tally{},
		listened: map[string]bool{},
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Run writes until ctx ends, and then what is left. Of a terminal that cannot be
// written to, there is nobody to tell.
func (s *Screen) Run(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	out := bufio.NewWriter(s.out)
	defer out.Flush()
	for {
		select {
		case line := <-s.lines:
			_, _ = out.WriteString(line)
		case now := <-look.C:
			s.sumUp(now, false)
		case <-ctx.Done():
			s.sumUp(time.Now(), true)
			for len(s.lines) > 0 {
				_, _ = out.WriteString(<-s.lines)
			}
			return
		}
		if len(s.lines) > 0 {
			continue
		}
		if n := s.lost.Swap(0); n > 0 {
			fmt.Fprintf(out, "… %d lines left out: the terminal is too slow\n", n)
		}
		_ = out.Flush()
	}
}

// Print puts text on the screen as it is.
func (s *Screen) Print(text string) {
	select {
	case s.lines <- text:
	default:
		s.lost.Add(1)
	}
}

// tone is how a line is meant.
type tone string

const (
	plain tone = ""
	good  tone = "\x1b[32m"
	wait  tone = "\x1b[33m"
	bad   tone = "\x1b[31m"
	faint tone = "\x1b[2m"
	off        = "\x1b[0m"
)

// event puts one line on the screen: when, whose, what, and the rest in words.
func (s *Screen) event(at time.Time, t tone, who, what, words string) {
	clock, verb := at.Format("15:04:05.000"), fmt.Sprintf("%-9s", what)
	if s.colour {
		clock = string(faint) + clock + off
		if t != plain {
			verb = string(t) + verb + off
		}
	}
	s.Print(fmt.Sprintf("%s  %-8s %s %s\n", clock, who, verb, printable(words)))
}

// longest is how much of a line is shown: a function may print what it likes.
const longest = 240

// printable is text without what would steer the terminal.
func printable(text string) string {
	runes := []rune(strings.TrimRight(text, " \t\r\n"))
	if len(runes) > longest {
		runes = append(runes[:longest], '…')
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '\uFFFD'
		}
		return r
	}, string(runes))
}
