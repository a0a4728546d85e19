package control

import "time"

// SocketFile is the name of the socket in a data folder.
const SocketFile = "control.sock"

// Status is the state of the node.
type Status struct {
	Version  string    `json:"version"`
	URL      string    `json:"url"`
	Started  time.Time `json:"started"`
	Ready    bool      `json:"ready"`
	Problem  string    `json:"problem,omitempty"` // why it is not ready, and what to do
	Accounts int64     `json:"accounts"`
	Sessions int64     `json:"sessions"`  // that have not ended
	InMemory int       `json:"in_memory"` // tokens that are answered without the database
	LogHead  int64     `json:"log_head"`  // number of the last event
	// Notices are those to apps, of sign-outs, that are pending, by client.
	Notices []Notices `json:"notices,omitempty"`
	// Webhooks are those that have messages which are pending or were given up.
	Webhooks []WebhookTotals `json:"webhooks,omitempty"`
	Mails    *MailTotals     `json:"mails,omitempty"`
}

// WebhookTotals say how it stands with the messages to a webhook.
type WebhookTotals struct {
	Name           string    `json:"name"`
	Pending        int64     `json:"pending"`
	PendingAtLeast bool      `json:"pending_at_least,omitempty"` // there are more
	Since          time.Time `json:"since,omitzero"`             // since when the oldest is pending
	Error          string    `json:"error,omitempty"`            // what that one met last
	GaveUp         int64     `json:"gave_up"`                    // in the last 7 days
	GaveUpAtLeast  bool      `json:"gave_up_at_least,omitempty"`
}

// Webhook is a webhook, of the node's configuration file unless its state is unknown.
type Webhook struct {
	WebhookTotals
	URL    string   `json:"url,omitempty"`
	Events []string `json:"events,omitempty"`
	State  string   `json:"state"` // well; failing: it is tried now and then; or unknown: not in this node's file
}

// WebhookAnswer is what a webhook has answered to a test.
type WebhookAnswer struct {
	Confirmed bool   `json:"confirmed"`        // it answered 2xx
	Status    int    `json:"status,omitempty"` // of HTTP; left out if there was no answer
	Error     string `json:"error,omitempty"`  // a word for what went wrong
	Body      string `json:"body,omitempty"`   // its beginning
	Millis    int64  `json:"milliseconds"`
}

// MailTotals say how it stands with mails.
type MailTotals struct {
	On             bool  `json:"on"` // a mail server is configured
	Pending        int64 `json:"pending"`
	PendingAtLeast bool  `json:"pending_at_least,omitempty"` // there are more
	Failed         int64 `json:"failed"`                     // in the last 7 days
	FailedAtLeast  bool  `json:"failed_at_least,omitempty"`
}

// Mail is a mail as operators see it.
type Mail struct {
	ID       string    `json:"id"`
	Template string    `json:"template"`
	State    string    `json:"state"`
	To       string    `json:"to,omitempty"` // until it was sent
	Handle   string    `json:"handle,omitempty"`
	Created  time.Time `json:"created"`
	Attempts int64     `json:"attempts"`
	Next     time.Time `json:"next,omitzero"` // while pending: when it is tried next
	Error    string    `json:"error,omitempty"`
	Finished time.Time `json:"finished,omitzero"`
}

// MailReached says whether the mail server takes mails.
type MailReached struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

// MailTo names an address.
type MailTo struct {
	To string `json:"to"`
}

// Notices are the pending ones of one client.
type Notices struct {
	Client  string    `json:"client"`
	Pending int64     `json:"pending"`
	AtLeast bool      `json:"at_least,omitempty"` // there are more
	Since   time.Time `json:"since"`              // since when the oldest is pending
	Error   string    `json:"error,omitempty"`    // what that one met last
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T   `json:"items"`
	Total int64 `json:"total,omitempty"` // on all pages; only on the first page
	// TotalAtLeast: there are more than Total.
	TotalAtLeast bool   `json:"total_at_least,omitempty"`
	Next         string `json:"next,omitempty"` // the next page's "after"; "" on the last page
}

// Account is an account as operators see it.
type Account struct {
	ID             string    `json:"id"`
	Handle         string    `json:"handle"`
	Name           string    `json:"name"`
	Email          string    `json:"email,omitempty"`
	EmailConfirmed bool      `json:"email_confirmed"`
	Status         string    `json:"status"`
	Groups         []string  `json:"groups"`
	Sessions       int64     `json:"sessions"`
	Created        time.Time `json:"created"`
	DeleteAfter    time.Time `json:"delete_after,omitzero"`
	Factors        []Factor  `json:"factors,omitempty"`        // only of one account that is shown by itself
	RecoveryCodes  int       `json:"recovery_codes,omitempty"` // that are left; as Factors
}

// Factor is a factor of an account.
type Factor struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // totp or passkey
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"` // last; never if it is left out
}

// FactorToRemove names a factor; without an ID it means all.
type FactorToRemove struct {
	ID string `json:"id,omitempty"`
}

// FactorsRemoved is what was removed, and how many sessions that has ended.
type FactorsRemoved struct {
	Handle  string   `json:"handle"`
	Removed []Factor `json:"removed"`
	Ended   int64    `json:"ended"`
}

// Group is a group and how many accounts are in it.
type Group struct {
	Name    string `json:"name"`
	Members int64  `json:"members"`
}

// Member is an account in a group.
type Member struct {
	ID     string    `json:"id"`
	Handle string    `json:"handle"`
	Name   string    `json:"name"`
	Status string    `json:"status"`
	Since  time.Time `json:"since"`
}

// Handles names the accounts that are put into a group or taken out of it.
type Handles struct {
	Handles []string `json:"handles"`
}

// GroupChange is what that did. Those of Already were in the group before, or not in it.
type GroupChange struct {
	Group   string   `json:"group"`
	Changed []string `json:"changed"`
	Already []string `json:"already"`
}

// Session is a session as operators see it.
type Session struct {
	ID        string    `json:"id"`
	Handle    string    `json:"handle"`
	Kind      string    `json:"kind"`
	Label     string    `json:"label"`
	UserAgent string    `json:"user_agent,omitempty"`
	Address   string    `json:"address,omitempty"` // from which the person signed in
	Started   time.Time `json:"started"`
	Seen      time.Time `json:"seen"`
	// LastAddress is the one it was last used from, as far as is known.
	LastAddress string    `json:"last_address,omitempty"`
	IdleAt      time.Time `json:"idle_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	Apps        []string  `json:"apps,omitempty"`
	MoreApps    int64     `json:"more_apps,omitempty"` // app sessions besides those of Apps that were looked at
	Ended       *Ended    `json:"ended,omitempty"`
}

// Ended says when, why and by what a session ended.
type Ended struct {
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	ByLabel string    `json:"by_label,omitempty"`
}

// NewAccount is what an operator gives to add an account. Without a password
// the answer is a single-use link with which the person chooses one.
type NewAccount struct {
	Handle         string `json:"handle"`
	Name           string `json:"name,omitempty"`
	Email          string `json:"email,omitempty"`
	EmailConfirmed bool   `json:"email_confirmed,omitempty"`
	Password       string `json:"password,omitempty"`
}

// String leaves the password out of whatever prints the account.
func (n NewAccount) String() string { return "control.NewAccount(" + n.Handle + ")" }

// GoString does so for %#v.
func (n NewAccount) GoString() string { return n.String() }

// Added is the outcome of adding an account.
type Added struct {
	ID     string `json:"id,omitempty"`   // of the account, when it exists already
	Handle string `json:"handle"`         // as the account has it
	Link   string `json:"link,omitempty"` // to be given to the person, once
	// Replaced: an unused link for the same handle or e-mail address was withdrawn.
	Replaced bool `json:"replaced,omitempty"`
}

// Invite is a one-time link that has not been used yet. The link itself cannot
// be shown again: only its hash is stored.
type Invite struct {
	For     string    `json:"for"` // "account", "first account" or "password"
	Handle  string    `json:"handle,omitempty"`
	Name    string    `json:"name,omitempty"`
	Email   string    `json:"email,omitempty"`
	Expires time.Time `json:"expires"`
}

// AuditEntry is one line of what was done to an account.
type AuditEntry struct {
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Session string    `json:"session,omitempty"` // if it was about one
	By      string    `json:"by"`                // person, operator or system
	ByLabel string    `json:"by_label,omitempty"`
	Address string    `json:"address,omitempty"`
	Detail  string    `json:"detail,omitempty"`
}

// EmailOf is an account's e-mail address, to be confirmed or just confirmed.
type EmailOf struct {
	Handle string `json:"handle,omitempty"`
	Email  string `json:"email"`
}

// Ending is the outcome of ending sessions.
type Ending struct {
	Handle  string `json:"handle,omitempty"` // of the account, if it was about one
	Ended   int64  `json:"ended"`
	Already bool   `json:"already"`
}

// Deletion asks for an account's deletion, now or after some days in which it can be kept, and says what that did.
type Deletion struct {
	Now     bool      `json:"now"`
	Handle  string    `json:"handle,omitempty"`
	After   time.Time `json:"after,omitzero"`
	Ended   int64     `json:"ended"`
	Already bool      `json:"already"`
}

// ClientSettings are settings of a client. One that is left out is not changed, or has its usual value.
type ClientSettings struct {
	Name               *string   `json:"name,omitempty"`
	HomeURL            *string   `json:"home_url,omitempty"`
	RedirectURIs       *[]string `json:"redirect_uris,omitempty"`
	Auth               *string   `json:"auth,omitempty"`
	NoPKCE             *bool     `json:"no_pkce,omitempty"`
	Algorithm          *string   `json:"algorithm,omitempty"`
	TokenLife          *string   `json:"token_life,omitempty"` // as 5m
	FirstParty         *bool     `json:"first_party,omitempty"`
	DeviceGrant        *bool     `json:"device_grant,omitempty"`
	RequireFactor      *bool     `json:"require_factor,omitempty"`
	Groups             *[]string `json:"groups,omitempty"` // who may sign in; none: everybody
	Checked            *bool     `json:"checked,omitempty"`
	PostLogoutURIs     *[]string `json:"post_logout_uris,omitempty"`
	SignOutAlone       *bool     `json:"sign_out_alone,omitempty"`
	BackchannelURI     *string   `json:"backchannel_uri,omitempty"`
	BackchannelAccount *bool     `json:"backchannel_account,omitempty"`
	SignOutURL         *string   `json:"sign_out_url,omitempty"`
	MayRevoke          *bool     `json:"may_revoke,omitempty"`
}

// NewClient is what an operator gives to register a client.
type NewClient struct {
	ID string `json:"client_id"`
	ClientSettings
}

// RegisteredClient is a client as operators see it. All of its settings are there.
type RegisteredClient struct {
	ID string `json:"client_id"`
	ClientSettings
	// Kind is "site" for an app on a host of its own whose every request is decided here, and "app" for any other.
	Kind    string    `json:"kind"`
	Site    *Site     `json:"site,omitempty"` // only of a site
	Secrets int       `json:"secrets"`        // how many are valid
	Source  string    `json:"source"`         // file or operator
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed"`
	// Connector is what the configuration file has for it; nothing else changes it.
	Connector *Connector `json:"connector,omitempty"`
	// AppSessions have not ended; only of one client that is shown by itself. There are more if AppSessionsAtLeast.
	AppSessions        *int64 `json:"app_sessions,omitempty"`
	AppSessionsAtLeast bool   `json:"app_sessions_at_least,omitempty"`
}

// Connector says how what somebody has in an app is ended by its API, without what is sent there.
type Connector struct {
	On    string   `json:"on"`    // account or session
	Steps []string `json:"steps"` // as "POST https://app.example.com/users/{found}/logout"
}

// Site is what a client is besides, if it is a site. Only the configuration file changes it.
type Site struct {
	Host     string   `json:"host"`               // with a port, if it is not the scheme's own
	Upstream string   `json:"upstream,omitempty"` // where our own proxy sends its requests; "" if another proxy asks
	Idle     string   `json:"idle,omitempty"`     // as 30m: without use, its own session ends; "" if it need not be used
	Fresh    string   `json:"fresh,omitempty"`    // as 12h: how old somebody's proof may be; "" if that does not matter
	Open     []string `json:"open"`               // paths that need no sign-in
	SignOut  []string `json:"sign_out"`           // the app's own addresses for signing out
	Programs []string `json:"programs"`           // the names of programs that have a service token
}

// ClientSecret is what an app needs to sign people in. The secret is shown once: only its hash is stored.
type ClientSecret struct {
	ID      string `json:"client_id"`
	Secret  string `json:"client_secret,omitempty"` // "" if none was made
	Issuer  string `json:"issuer"`
	Secrets int    `json:"secrets"` // how many are valid
}

// String leaves the secret out of whatever prints it.
func (c ClientSecret) String() string { return "control.ClientSecret(" + c.ID + ")" }

// GoString does so for %#v.
func (c ClientSecret) GoString() string { return c.String() }

// Rotation says how to change a client's secrets.
type Rotation struct {
	DropOld bool `json:"drop_old,omitempty"` // leave only the newest, instead of making a new one
}

// ClientRemoved is the outcome of removing a client.
type ClientRemoved struct {
	ID                 string `json:"client_id"`
	AppSessions        int64  `json:"app_sessions"` // that ended with it
	AppSessionsAtLeast bool   `json:"app_sessions_at_least,omitempty"`
}

// Failure is the body of an answer that is not 2xx.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
