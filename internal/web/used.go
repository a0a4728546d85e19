package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/exeunt/exeunt"
)

// cookieUsed says which account was used last with which app, where several are signed in. It names neither.
const cookieUsed = "__Host-exeunt-used"

const (
	usedPart = 8  // characters for an app, and for an account
	maxUsed  = 20 // apps that are remembered: the cookie must stay small
)

func (c Cookies) usedApp(app exeunt.ClientID) string {
	return c.Notices.Code("used app " + string(app))[:usedPart]
}

func (c Cookies) usedAccount(id exeunt.AccountID) string {
	return c.Notices.Code("used account " + id.String())[:usedPart]
}

func readUsed(r *http.Request) []string {
	text, _ := Cookie(r, cookieUsed)
	list := strings.Split(text, ".")
	return slices.DeleteFunc(list[:min(len(list), maxUsed)], func(one string) bool { return len(one) != 2*usedPart })
}

// Uses reports whether an account was the last one in this browser that was used with an app.
func (c Cookies) Uses(r *http.Request, app exeunt.ClientID, id exeunt.AccountID) bool {
	return slices.Contains(readUsed(r), c.usedApp(app)+c.usedAccount(id))
}

// SetUsed has the browser remember which account is used with an app, while several accounts are signed in.
func (c Cookies) SetUsed(w http.ResponseWriter, r *http.Request, app exeunt.ClientID, id exeunt.AccountID) {
	if len(c.Places(r)) < 2 {
		return
	}
	key := c.usedApp(app)
	list := slices.DeleteFunc(readUsed(r), func(one string) bool { return strings.HasPrefix(one, key) })
	list = append([]string{key + c.usedAccount(id)}, list[:min(len(list), maxUsed-1)]...)
	http.SetCookie(w, HostCookie(cookieUsed, strings.Join(list, "."), int(deviceLife.Seconds()), true))
}
