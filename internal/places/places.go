// Package places says about where a network address is, from a file that the operator gives.
//
// It owns the reading of that file, in the format of MaxMind DB, and nothing else: nobody is asked over a network. What it
// says is rough, and often wrong by a city; callers say "about".
package places

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// Places reads one file. It is safe for concurrent use.
type Places struct {
	path string
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	db      *maxminddb.Reader
	of      time.Time // when the file in use was written
	refused time.Time // the same of one that could not be used
	looked  time.Time
}

// lookEvery is how often the file is looked at, by those who ask.
const lookEvery = time.Minute

// Open reads a file: of cities, countries or autonomous systems, by MaxMind or in the shape of ip-location-db.
func Open(path string, now func() time.Time, log *slog.Logger) (*Places, error) {
	p := &Places{path: path, log: log, now: now, looked: now()}
	var err error
	p.db, p.of, err = read(path)
	return p, err
}

// read keeps the file in memory: one that is mapped would take the process with it when somebody writes over it.
func read(path string) (db *maxminddb.Reader, written time.Time, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, written, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, written, err
	}
	if db, err = maxminddb.OpenBytes(data); err != nil {
		return nil, info.ModTime(), fmt.Errorf("%s is not a whole file in the format of MaxMind DB (.mmdb): %w", path, err)
	}
	return db, info.ModTime(), nil
}

// reader returns the file's reader. A changed file is read again; one that cannot be used leaves the old one.
func (p *Places) reader() *maxminddb.Reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if since := now.Sub(p.looked); since >= 0 && since < lookEvery {
		return p.db
	}
	p.looked = now
	info, err := os.Stat(p.path)
	if err != nil || info.ModTime().Equal(p.of) || info.ModTime().Equal(p.refused) {
		return p.db
	}
	db, written, err := read(p.path)
	if err != nil {
		p.refused = written
		p.log.Warn("the new file of places cannot be used; the old one stays", "err", err)
		return p.db
	}
	p.db, p.of = db, written
	p.log.Info("the file of places was read again", "file", p.path)
	return db
}

// record has the names of both shapes: MaxMind's have names by language, those of ip-location-db plain ones.
type record struct {
	City    any `maxminddb:"city"` // a map, or a text
	Country struct {
		Names map[string]string `maxminddb:"names"`
		Code  string            `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	CountryCode string `maxminddb:"country_code"`
	System      string `maxminddb:"autonomous_system_organization"`
}

func (r *record) city() string {
	switch v := r.City.(type) {
	case string:
		return short(v)
	case map[string]any:
		if names, ok := v["names"].(map[string]any); ok {
			name, _ := names["en"].(string)
			return short(name)
		}
	}
	return ""
}

// maxName bounds what a file says.
const maxName = 60

// Of returns about where an address is, in English: "Lisbon, Portugal", "Portugal", or "the network of a provider". It is ""
// when the file does not say.
func (p *Places) Of(a netip.Addr) string {
	if p == nil || !a.IsValid() {
		return ""
	}
	var r record
	if err := p.reader().Lookup(a.Unmap().WithZone("")).Decode(&r); err != nil {
		return "" // a broken place is no reason to refuse anything
	}
	country := short(r.Country.Names["en"])
	if country == "" {
		country = countryOf(r.Country.Code, r.CountryCode)
	}
	switch city := r.city(); {
	case city != "" && country != "":
		return city + ", " + country
	case country != "":
		return country
	case city != "":
		return city
	case r.System != "":
		return "the network of " + short(r.System)
	}
	return ""
}

// countryOf is the English name of the first code that is one (ISO 3166-1 alpha-2).
func countryOf(codes ...string) string {
	for _, code := range codes {
		if region, err := language.ParseRegion(code); err == nil && region.IsCountry() {
			return display.English.Regions().Name(region)
		}
	}
	return ""
}

func short(s string) string {
	if r := []rune(s); len(r) > maxName {
		return string(r[:maxName-1]) + "…"
	}
	return s
}
