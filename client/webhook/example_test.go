package webhook_test

import (
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/exeunt/exeunt/client/webhook"
)

// A handler that takes messages.
func Example() {
	secret, err := webhook.ParseSecret(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Print(err)
		return
	}
	http.HandleFunc("POST /hooks/exeunt", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, webhook.MaxBody))
		if err != nil {
			http.Error(w, "too long", http.StatusRequestEntityTooLarge)
			return
		}
		m, err := webhook.Verify(r.Header, body, secret, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// Messages may come twice, and in another order than things happened: remember m.ID.
		switch m.Type {
		case webhook.SessionEnded:
			log.Printf("%s: %s ended because of %s", m.Data.Account, m.Data.Scope, m.Data.Reason)
		case webhook.AccountSecured:
			log.Printf("%s was secured", m.Data.Account)
		}
		w.WriteHeader(http.StatusNoContent) // also for types that are not known here
	})
}
