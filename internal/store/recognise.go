package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
)

// DevicesKept is for how long a browser or app is remembered that an account is not used with. A network and browser
// that were both used within familiarFor are known without the device cookie.
const (
	DevicesKept = 365 * 24 * time.Hour
	familiarFor = 60 * 24 * time.Hour
)

// Arrival is what a sign-in is recognised by.
type Arrival struct {
	Device  exeunt.TokenHash // zero: nothing is remembered, as on a shared computer
	Network netip.Prefix     // coarse; zero when it is unknown
	Agent   string           // browser and system, or what an app calls itself
}

// Recognition says whether a sign-in is the account's usual.
type Recognition struct {
	Familiar bool
	Told     bool // if not: the device's last sign-in was told, and nobody has answered
}

// Recognised is how a sign-in was recognised. The zero value remembers and tells nothing.
type Recognised struct {
	Arrival  Arrival
	Familiar bool       // the arrival is one of the account's usual
	Notice   *NewNotice // tells the owner of one that is not; nil when there is none
}

// Recognise compares an arrival with what the account was used with. The first sign-in of an account is familiar.
func (s *Store) Recognise(
	ctx context.Context, account exeunt.AccountID, v Arrival, now time.Time,
) (out Recognition, err error) {
	var before, device, alike bool
	err = s.read.QueryRowContext(ctx, `SELECT a.signed_in = 1,
		EXISTS (SELECT 1 FROM devices d WHERE d.account_id = a.id AND d.hash = $2 AND d.familiar <= $5),
		EXISTS (SELECT 1 FROM devices d WHERE d.account_id = a.id AND d.network = $3 AND d.agent = $4 AND d.familiar <= $5
			AND d.last_seen > $6 AND $3 <> ''),
		EXISTS (SELECT 1 FROM notices n WHERE n.account_id = a.id AND n.device = $2 AND n.state = 'open' AND n.at > $7)
		FROM accounts a WHERE a.id = $1`, account.Bytes(), deviceBytes(v.Device), networkText(v.Network), v.Agent, ms(now),
		ms(now.Add(-familiarFor)), ms(now.Add(-exeunt.NoticeLife))).Scan(&before, &device, &alike, &out.Told)
	out.Familiar = !before || device || alike
	return out, notFound("account", err)
}

// KnowsDevice reports whether an account is used from a device. It reads the same whether or not there is an account.
func (s *Store) KnowsDevice(
	ctx context.Context, account exeunt.AccountID, device exeunt.TokenHash, now time.Time,
) (known bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM devices WHERE account_id = $1 AND hash = $2
		AND familiar <= $3)`, account.Bytes(), deviceBytes(device), ms(now)).Scan(&known)
	return known, unavailable("device", err)
}

func deviceBytes(h exeunt.TokenHash) []byte {
	if h == (exeunt.TokenHash{}) {
		return nil
	}
	return h[:]
}

func networkText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

// rememberArrival notes that an account is used from a device. An unfamiliar one becomes familiar when its notice asks
// no more.
func (t *tx) rememberArrival(n NewSession, now time.Time) error {
	v := n.Arrival
	if v.Device == (exeunt.TokenHash{}) {
		return nil
	}
	account, familiar := n.Session.Account.Bytes(), ms(now)
	if !n.Familiar {
		familiar = ms(now.Add(exeunt.NoticeLife))
	}
	// The owner's are missed most, so whoever has the password cannot push them out at once.
	if _, err := t.exec(`DELETE FROM devices WHERE account_id = $1 AND hash IN (SELECT hash FROM devices
		WHERE account_id = $1 AND hash <> $2 ORDER BY CASE WHEN familiar <= $3 THEN 0 ELSE 1 END, last_seen DESC
		LIMIT 1000 OFFSET $4)`, account, v.Device[:], ms(now), exeunt.MaxDevices-1); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO devices (account_id, hash, agent, network, first_seen, last_seen, familiar)
		VALUES ($1, $2, $3, $4, $5, $5, $6) ON CONFLICT (account_id, hash) DO UPDATE SET agent = excluded.agent,
		network = excluded.network, last_seen = excluded.last_seen, familiar = least(devices.familiar, excluded.familiar)`,
		account, v.Device[:], v.Agent, networkText(v.Network), ms(now), familiar)
	return err
}
