package fanout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client/webhook"
)

// Webhook is a webhook with its secrets.
type Webhook struct {
	exeunt.Webhook
	Secrets []webhook.Secret // each message is signed by all: two while one takes over from the other
}

// messagesOf is what webhooks are told of an event: of each end one message, however many sessions it ended.
func messagesOf(e *exeunt.Event, list []Webhook) (out []exeunt.Message) {
	if e.Kind != exeunt.EventEnded || !e.AppSession.IsZero() {
		return nil
	}
	digest := *e
	digest.Row = 0 // a database that is put back has another one
	source := digest.Digest()
	body := webhook.Event{Type: string(exeunt.MessageEnded), Timestamp: e.At, Data: webhook.Data{
		Account: e.Account.String(), Scope: string(e.Scope), Reason: string(e.Reason), By: string(e.By.Kind)}}
	switch e.Scope {
	case exeunt.ScopeSession:
		body.Data.Session = e.Session.String()
	case exeunt.ScopeOthers:
		body.Data.Kept = e.Session.String()
	}
	out = messages(list, exeunt.MessageEnded, e.Account, source, body)
	if e.Reason == exeunt.ReasonSecured || e.Reason == exeunt.ReasonNotMe {
		body.Type = string(exeunt.MessageSecured)
		out = append(out, messages(list, exeunt.MessageSecured, e.Account, source, body)...)
	}
	return out
}

// Started returns what webhooks are told of a session that starts, or nil if none wants to know.
func Started(list []Webhook) func(*exeunt.Session, exeunt.ClientID) []exeunt.Message {
	for i := range list {
		if list[i].Wants(exeunt.MessageStarted) {
			return func(v *exeunt.Session, client exeunt.ClientID) []exeunt.Message {
				return messages(list, exeunt.MessageStarted, v.Account, v.ID.String(), webhook.Event{
					Type: string(exeunt.MessageStarted), Timestamp: v.Started, Data: webhook.Data{Account: v.Account.String(),
						Session: v.ID.String(), Kind: string(v.Kind), Client: string(client)}})
			}
		}
	}
	return nil
}

// messages is one for each webhook that wants it. Its ID is made of what it tells of: if a database is put back and the
// same is read again, receivers know it.
func messages(
	list []Webhook, of exeunt.MessageType, account exeunt.AccountID, source string, body webhook.Event,
) (out []exeunt.Message) {
	var text []byte
	for i := range list {
		if !list[i].Wants(of) {
			continue
		}
		if text == nil {
			body.Timestamp = body.Timestamp.UTC()
			text, _ = json.Marshal(body) // texts and a time
		}
		sum := sha256.Sum256([]byte(string(of) + " " + source))
		out = append(out, exeunt.Message{Webhook: list[i].Name, Account: account, Body: text,
			ID: exeunt.MessageID("msg_" + hex.EncodeToString(sum[:16]))})
	}
	return out
}
