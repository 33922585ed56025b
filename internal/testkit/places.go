package testkit

import (
	"bytes"
	"net"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// Places is a database in MaxMind's format with the latitudes and longitudes of
// ranges of addresses, and 192.0.2.0/24, of which it says a country and no place.
func Places(t testing.TB, places map[string][2]float64) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-City", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	insert := func(cidr string, value mmdbtype.Map) {
		_, network, err := net.ParseCIDR(cidr)
		if err == nil {
			err = tree.Insert(network, value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for cidr, at := range places {
		insert(cidr, mmdbtype.Map{"location": mmdbtype.Map{"latitude": mmdbtype.Float64(at[0]), "longitude": mmdbtype.Float64(at[1])}})
	}
	insert("192.0.2.0/24", mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("FR")}})
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
