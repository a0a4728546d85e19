package pages

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/internal/account"
	"github.com/exeunt/exeunt/internal/authority"
	"github.com/exeunt/exeunt/internal/oauth"
	"github.com/exeunt/exeunt/internal/signin"
	"github.com/exeunt/exeunt/internal/ui"
	"github.com/exeunt/exeunt/internal/web"
)

// Deps is what the pages are made of. All fields but Place are needed.
type Deps struct {
	Authority *authority.Authority
	SignIn    *signin.Service
	OAuth     *oauth.Service
	Accounts  *account.Service
	Browser   web.Browser
	Peers     web.Peers
	Issuer    string // the address of this site, by which apps know it
	UI        *ui.UI
	Policy    exeunt.Policy
	Receipts  web.Receipts
	Retention ui.Retention // how long ended sessions stay listed, and the history is kept
	Place     ui.Place     // nil: places are unknown
	Kiosk     exeunt.Kiosk // computers that are always shared
	Offline   bool         // browsers may be signed out without network
	Now       func() time.Time
	Log       *slog.Logger
}

// Pages are a person's pages. They are safe for concurrent use.
type Pages struct {
	Deps
	surface web.Surface
	states  web.States
	turns   turns
}

// New returns the pages.
func New(d Deps) *Pages {
	p := &Pages{Deps: d, states: web.States{Authority: d.Authority, Now: d.Now}}
	p.surface = web.Surface{Fail: p.Fail, Log: d.Log}
	return p
}

// Handler serves every page. It expects to stand behind the protection against
// forged requests and the headers of package web.
func (p *Pages) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range p.routes() {
		if rt.post != nil {
			rt.post = p.onKiosk(rt.post)
		}
		p.mount(mux, rt)
	}
	mux.Handle("GET /assets/", ui.Assets())
	mux.Handle("/assets/", p.surface.Handle(notAllowed("GET, HEAD")))
	mux.Handle("/", p.surface.Handle(func(http.ResponseWriter, *http.Request) error { return exeunt.ErrNotFound }))
	return web.Compress(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Every page, because any of them may come to name somebody; assets may be cached.
		mux.ServeHTTP(client.PrivatePage(w, r), r)
	}))
}

// route is one address and what it answers to.
type route struct {
	path      string
	get, post web.Handler
	upload    bool // the post has a file
}

func (p *Pages) routes() []route {
	return []route{
		{path: "/{$}", get: p.signedIn(p.home)},
		{path: "/signin", get: p.signInForm, post: p.signIn},
		{path: "/signin/code", get: leadsTo("/signin"), post: p.signInCode},
		{path: "/signin/anew", get: leadsTo("/signin"), post: p.signInAnew},
		{path: "/required", get: p.anySession(p.required)},
		{path: "/recovered", get: p.signedIn(p.recovered)},
		{path: "/signup", get: p.signUpForm, post: p.signUp},
		{path: "/setup/{token}", get: p.setupForm, post: p.setup},
		{path: "/reset/{token}", get: p.resetForm, post: p.reset},
		{path: notMePath + "{token}", get: p.notMeForm, post: p.notMeByLink},
		{path: "/notices/{id}/me", get: leadsTo("/"), post: p.form(p.thisWasMe)},
		{path: "/notices/{id}/not-me", get: leadsTo("/"), post: p.notMe},
		{path: "/forgot", get: p.forgotForm, post: p.forgot},
		{path: "/forgot/sent", get: p.forgotSent},
		{path: "/confirm/{token}", get: p.confirmAddressForm, post: p.confirmAddress},
		{path: "/undo/{token}", get: p.undoForm, post: p.undo},
		{path: "/sessions", get: p.signedIn(p.sessionList)},
		{path: "/sessions/ended", get: p.signedIn(p.endedSessionList)},
		{path: "/sessions/end", get: leadsTo("/sessions"), post: p.ending(p.onceByPolicy(p.endOthers))},
		{path: "/sessions/{id}/end", get: leadsTo("/sessions"), post: p.ending(p.onceByPolicy(p.endSession))},
		{path: "/signout", get: p.signOutForm, post: p.signOut},
		{path: "/signout/all", get: p.anySession(p.askSignOutAll), post: p.signOutAll},
		{path: "/accounts", get: p.anySession(p.accounts)},
		{path: "/accounts/switch", get: leadsTo("/accounts"), post: p.switchAccount},
		{path: "/accounts/badge/{badge}", get: p.badge},
		{path: ticketPath, get: leadsTo("/signout"), post: p.takeTicket},
		{path: offlinePath, get: leadsTo("/signed-out"), post: p.finishOffline},
		{path: "/locked", get: p.locked},
		{path: "/locked/{language}", get: p.lockedIn},
		{path: "/language", get: p.languages, post: p.chooseLanguage},
		{path: "/sw.js", get: p.worker},
		{path: "/manifest.webmanifest", get: p.manifest},
		{path: "/signed-out", get: p.signedOut},
		{path: "/ended", get: p.ended},
		{path: web.ReceiptPath + "{handle}", get: p.receipt},
		{path: web.ReceiptPath + "{handle}" + checkPath, get: p.checkReceipt},
		{path: checkPath, get: p.check},
		{path: checkPath + "/clear", get: leadsTo(checkPath), post: p.clearDead},
		{path: "/menu", get: p.anySession(p.menu)},
		{path: "/settings", get: p.signedIn(p.settings)},
		{path: "/settings/profile", get: leadsTo("/settings"), post: p.form(p.once(p.changeProfile))},
		{path: "/settings/address", get: leadsTo("/settings"), post: p.form(p.address)},
		{path: "/settings/picture", get: leadsTo("/settings"), post: p.form(p.once(p.changePicture)), upload: true},
		{path: "/settings/picture/remove", get: leadsTo("/settings"), post: p.form(p.once(p.removePicture))},
		{path: "/account/{id}/picture", get: p.ownPicture},
		{path: oauth.PicturePath + "{name}", get: p.publicPicture},
		{path: "/settings/display", get: leadsTo("/settings"), post: p.form(p.changeDisplay)},
		{path: "/security", get: p.signedIn(p.security)},
		{path: "/review", get: p.signedIn(p.review)},
		{path: "/review/begin", get: leadsTo("/review"), post: p.form(p.beginReview)},
		{path: "/review/decide", get: leadsTo("/review"), post: p.form(p.once(p.decideReview))},
		{path: "/review/later", get: leadsTo("/"), post: p.form(p.reviewLater)},
		{path: "/review/mail", get: leadsTo("/review"), post: p.form(p.reviewMail)},
		{path: "/secure", get: p.signedIn(p.secure)},
		{path: "/secure/begin", get: leadsTo("/secure"), post: p.form(p.once(p.beginSecuring))},
		{path: "/secure/step", get: leadsTo("/secure"), post: p.form(p.stepSecuring)},
		{path: "/secure/finish", get: leadsTo("/secure"), post: p.form(p.finishSecuring)},
		{path: "/account/delete", get: p.signedIn(p.deleteForm), post: p.deletion},
		{path: "/account/deleting", get: p.deleting},
		{path: "/account/keep", get: leadsTo("/account/deleting"), post: p.keepAccount},
		{path: "/account/leave", get: leadsTo("/account/deleting"), post: p.leaveDeleting},
		{path: "/security/password", get: leadsTo("/security"), post: p.form(p.once(p.changePassword))},
		{path: "/security/ask", get: leadsTo("/security"), post: p.form(p.askAgain)},
		{path: "/activity/download", get: leadsTo("/activity"), post: p.form(p.once(p.activityDownload))},
		{path: "/activity", get: p.signedIn(p.activity)},
		{path: "/activity.csv", get: p.signedIn(p.activityFile(p.activityCSV))},
		{path: "/activity.json", get: p.signedIn(p.activityFile(p.activityJSON))},
		{path: "/security/app", get: p.anySession(p.appForm), post: p.anyForm(p.once(p.addApp))},
		{path: "/passkey", get: p.passkeyQuestion},
		{path: "/security/passkeys/decline", get: leadsTo("/"), post: p.form(p.declinePasskey)},
		{path: "/security/passkeys", get: p.anySession(p.passkeyForm), post: p.anyForm(p.once(p.addPasskey))},
		{path: "/security/codes", get: p.anySession(p.codes), post: p.form(p.once(p.makeCodes))},
		{path: "/security/codes/text", get: leadsTo("/security/codes"), post: p.anyForm(p.codesText)},
		{path: "/security/codes/saved", get: leadsTo("/security"), post: p.anyForm(p.codesSaved)},
		{path: "/security/factors/{id}", get: p.signedIn(p.factorForm), post: p.form(p.once(p.removeFactor))},
		{path: "/security/factors/{id}/name", get: p.signedIn(p.factorNameForm), post: p.form(p.renameFactor)},
		{path: "/help", get: p.help},
		{path: "/.well-known/change-password", get: leadsTo("/security")}, // which password managers open
		{path: "/authorize", get: p.authorizeForm, post: fromAppsPost("/authorize", oauth.Parameters...)},
		{path: "/authorize/decide", get: leadsTo("/"), post: p.named(p.authorize)},
		{path: "/authorize/choose", get: p.chooseForm},
		{path: endSessionPath, get: p.endSessionForm, post: fromAppsPost(endSessionPath, oauth.SignOutParameters...)},
		{path: "/end_session/browser", get: leadsTo("/"), post: p.signOut},
		{path: "/end_session/app", get: leadsTo("/"), post: p.named(p.endOneApp)},
		{path: "/site", get: p.site},
		{path: "/apps", get: p.signedIn(p.appList)},
		{path: "/apps/{client}/end", get: leadsTo("/apps"), post: p.ending(p.endApp)},
		{path: "/apps/{client}/remove", get: leadsTo("/apps"), post: p.ending(p.removeApp)},
		{path: "/device", get: p.signedIn(p.deviceForm), post: p.form(p.device)},
		{path: "/device/decide", get: leadsTo("/device"), post: p.form(p.decideDevice)},
		{path: "/session/state", get: p.sessionState},
		{path: "/session/activity", post: p.sessionActivity},
		{path: "/session/closing", post: p.sessionClosing},
		{path: "/session/stay", post: p.anyForm(p.sessionStay)},
		{path: "/idle.css", get: idleStyle},
	}
}

// leadsTo answers at the address of a form, where a refused form was shown, with the page that has it.
func leadsTo(page string) web.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error { return redirect(w, page) }
}

func (p *Pages) mount(mux *http.ServeMux, rt route) {
	s := p.surface
	var allow []string
	if rt.get != nil {
		mux.Handle("GET "+rt.path, s.Handle(rt.get))
		allow = append(allow, "GET", "HEAD")
	}
	if rt.post != nil {
		read := afterForm
		if rt.upload {
			read = p.afterUpload
		}
		mux.Handle("POST "+rt.path, s.Handle(read(rt.post)))
		allow = append(allow, "POST")
	}
	mux.Handle(rt.path, s.Handle(notAllowed(strings.Join(allow, ", "))))
}

func notAllowed(allow string) web.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allow) // RFC 9110 section 15.5.6
		return web.ErrMethod
	}
}
