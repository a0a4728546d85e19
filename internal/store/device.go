package store

import (
	"context"
	"net/netip"
	"time"

	"github.com/exeunt/exeunt"
)

// Device waits for somebody to type its user code (RFC 8628).
type Device struct {
	UserCode     string // in capitals, without separators
	Hash         exeunt.TokenHash
	Client       exeunt.ClientID
	Registration int64 // the client's registration
	Scopes       exeunt.Scopes
	UserAgent    string
	Address      netip.Addr
	Expires      time.Time
	State        DeviceState
	Account      exeunt.AccountID // of the person who allowed or declined it
}

// DeviceState is what became of a device.
type DeviceState string

const (
	// DeviceWaiting: nobody has decided yet.
	DeviceWaiting DeviceState = "waiting"
	// DeviceAllowed: there is a code for it.
	DeviceAllowed DeviceState = "allowed"
	// DeviceDeclined: the person does not want it signed in.
	DeviceDeclined DeviceState = "declined"
)

const deviceColumns = `user_code, hash, client_id, registration, scopes, user_agent, address, expires, state, account_id`

func scanDevice(row rowScanner) (d Device, err error) {
	var hash []byte
	var address string
	var expires int64
	err = row.Scan(&d.UserCode, &hash, &d.Client, &d.Registration, &d.Scopes, &d.UserAgent, &address, &expires, &d.State, &d.Account)
	copy(d.Hash[:], hash)
	d.Address, _ = netip.ParseAddr(address) // "" is none
	d.Expires = at(expires)
	return d, err
}

// AddDevice stores a device that waits, unless the client has most of them already: then added is false.
func (s *Store) AddDevice(ctx context.Context, d Device, most int, now time.Time) (added bool, err error) {
	return committed(ctx, s, func(t *tx) (added bool, err error) {
		var waiting int
		if err := t.row(`SELECT count(*) FROM (SELECT 1 FROM device_codes WHERE client_id = $1 AND expires > $2
			LIMIT $3) AS w`, d.Client, ms(now), most).Scan(&waiting); err != nil {
			return false, err
		}
		if waiting >= most {
			return false, nil
		}
		n, err := t.exec(`INSERT INTO device_codes (`+deviceColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL)
			ON CONFLICT (user_code) DO NOTHING`, d.UserCode, d.Hash[:], d.Client, d.Registration, d.Scopes, d.UserAgent,
			addressText(d.Address), ms(d.Expires), DeviceWaiting)
		return n == 1, err
	})
}

// DeviceByUserCode returns a device whose code is valid, or ErrNotFound, also when its client was removed.
func (s *Store) DeviceByUserCode(ctx context.Context, userCode string, now time.Time) (Device, error) {
	d, err := scanDevice(s.read.QueryRowContext(ctx, `SELECT `+deviceColumns+` FROM device_codes p
		WHERE user_code = $1 AND expires > $2 AND `+registered, userCode, ms(now)))
	return d, notFound("device", err)
}

// DeviceByCode returns a device by the hash of its code, also one that waited too long, or ErrNotFound, as
// DeviceByUserCode does.
func (s *Store) DeviceByCode(ctx context.Context, hash exeunt.TokenHash) (Device, error) {
	d, err := scanDevice(s.read.QueryRowContext(ctx, `SELECT `+deviceColumns+` FROM device_codes p
		WHERE hash = $1 AND `+registered, hash[:]))
	return d, notFound("device", err)
}

// AllowDevice makes a device that waits a code of the session, which has the hash, client, scopes and expiry of the
// device. Outcomes: nil; ErrNotFound when it does not wait any more; those of AddCode.
func (s *Store) AllowDevice(ctx context.Context, userCode string, c Code, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		d, refused, err := t.decideDevice(userCode, DeviceAllowed, c.Account, now)
		if refused != nil || err != nil {
			return refused, err
		}
		c.Client, c.Registration, c.Scopes, c.Expires = d.Client, d.Registration, d.Scopes, d.Expires
		refused, err = t.addCode(d.Hash, c)
		if refused != nil && err == nil {
			_, err = t.exec(`UPDATE device_codes SET state = $1, account_id = NULL WHERE user_code = $2`, DeviceWaiting,
				userCode)
		}
		return refused, err
	})
}

// DeclineDevice has the device told that nobody signs it in. ErrNotFound when it does not wait any more.
func (s *Store) DeclineDevice(ctx context.Context, userCode string, by exeunt.AccountID, now time.Time) error {
	return s.commitOrRefuse(ctx, func(t *tx) (refused, err error) {
		_, refused, err = t.decideDevice(userCode, DeviceDeclined, by, now)
		return refused, err
	})
}

func (t *tx) decideDevice(
	userCode string, to DeviceState, by exeunt.AccountID, now time.Time,
) (d Device, refused, err error) {
	d, err = scanDevice(t.row(`UPDATE device_codes SET state = $1, account_id = $2
		WHERE user_code = $3 AND expires > $4 AND state = 'waiting' RETURNING `+deviceColumns, to, by.Bytes(), userCode,
		ms(now)))
	if ok, err := found(err); err != nil || !ok {
		return d, exeunt.ErrNotFound, err
	}
	return d, nil, nil
}
