package authority

import (
	"context"
	"errors"
	"net/netip"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/internal/store"
	"github.com/exeunt/exeunt/internal/throttle"
)

// maxDevices is how many devices of one client may wait at a time.
const maxDevices = 1000

// AddDevice stores a device that waits for somebody to type its code. ThrottledError when too many wait.
func (a *Authority) AddDevice(ctx context.Context, d store.Device) error {
	from := throttle.WideNetwork(d.Address)
	judge, err := a.count(exeunt.LimitDevices, perNetworkDevice, from.String(), d.Address)
	if err != nil {
		return err
	}
	d.UserAgent = cut(d.UserAgent, maxUserAgent)
	added, err := a.store.AddDevice(ctx, d, maxDevices, a.now())
	judge(err)
	if err == nil && !added {
		err = &exeunt.ThrottledError{RetryAfter: perNetworkDevice.Every, Limit: exeunt.LimitDevices}
	}
	return err
}

// DeviceByUserCode returns the device whose code a person has typed, or ErrNotFound. ThrottledError for somebody who
// types many.
func (a *Authority) DeviceByUserCode(ctx context.Context, who Answer, userCode string) (store.Device, error) {
	if _, err := a.count(exeunt.LimitUserCodes, perSessionUserCode, who.Session.String(), netip.Addr{}); err != nil {
		return store.Device{}, err
	}
	return a.store.DeviceByUserCode(ctx, userCode, a.now())
}

// DeviceByCode returns the device that a code is of, or ErrNotFound. ThrottledError when it asks too often.
func (a *Authority) DeviceByCode(ctx context.Context, code exeunt.Token) (d store.Device, err error) {
	there := false
	err = a.LookUp(ctx, exeunt.UseCode, code.Hash(), errNeverUsed, func(ctx context.Context) (err error) {
		d, err = a.store.DeviceByCode(ctx, code.Hash())
		if there = err == nil; errors.Is(err, exeunt.ErrNotFound) {
			return nil // it may be another kind of code
		}
		return err
	})
	if errors.Is(err, errNeverUsed) || err == nil && !there {
		return d, exeunt.ErrNotFound
	}
	if err == nil {
		_, err = a.count(exeunt.LimitDevicePolls, perDevicePoll, d.UserCode, netip.Addr{})
	}
	return d, err
}

var errNeverUsed = errors.New("the code is known to be of no use")

// AllowDevice signs a device in by a person's session. Outcomes: those of store.AllowDevice, and ThrottledError if the
// session has signed in to apps too often lately.
func (a *Authority) AllowDevice(ctx context.Context, userCode string, c store.Code) error {
	judge, err := a.count(exeunt.LimitAppSignIns, perSessionCode, c.Session.String(), netip.Addr{})
	if err != nil {
		return err
	}
	err = a.store.AllowDevice(ctx, userCode, c, a.now())
	judge(err)
	return err
}

// DeclineDevice has a device told that nobody signs it in.
func (a *Authority) DeclineDevice(ctx context.Context, userCode string, by exeunt.AccountID) error {
	return a.store.DeclineDevice(ctx, userCode, by, a.now())
}
