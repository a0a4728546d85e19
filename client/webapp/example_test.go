package webapp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/exeunt/exeunt/client"
	"github.com/exeunt/exeunt/client/webapp"
)

// An app has pages for everybody and pages for people who are signed in. The
// middleware signs them in and out below /exeunt/.
func Example() {
	os.Setenv("CHIRP_KEY", "exk_…") // the client_secret that the authority gave out
	authority, err := client.New("https://exeunt.example", client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	app, err := webapp.New(webapp.Config{
		Client: authority, ID: "chirp", Key: client.NewSecret(os.Getenv("CHIRP_KEY")),
		Name: "Chirp", URL: "https://chirp.example",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer app.Close() // a server gives it to RegisterOnShutdown

	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if p, ok := webapp.Who(r.Context()); ok {
			fmt.Fprintf(w, "Welcome back, %s.", p.Name)
			return
		}
		fmt.Fprint(w, "Welcome.")
	})
	pages.Handle("GET /drafts", app.RequirePerson(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "Your drafts.")
	})))
	handler := app.Middleware(pages)

	for _, path := range []string{"/", "/drafts"} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "https://chirp.example"+path, nil))
		fmt.Println(path, answer.Code)
	}
	// Output:
	// / 200
	// /drafts 401
}

// An event stream that stays open for as long as the person is signed in. A handler of WebSockets does the same with its
// connection: it closes it when the context is done, with the status 1008 for a session that has ended, and 1013 ("try
// again later") for one that nobody can vouch for.
func ExampleApp_UntilEnd() {
	var app *webapp.App // from webapp.New
	var news <-chan string

	feed := app.RequirePerson(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := app.UntilEnd(r)
		defer stop()
		out := http.NewResponseController(w)
		out.SetWriteDeadline(time.Time{}) // the server's is for answers that end
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case text := <-news:
				fmt.Fprintf(w, "data: %s\n\n", text)
				out.Flush()
			case <-ctx.Done():
				var ended *client.EndedError
				if errors.As(context.Cause(ctx), &ended) {
					fmt.Fprintf(w, "event: ended\ndata: %s\n\n", webapp.ReasonText(ended.Reason))
				}
				return
			}
		}
	}))
	http.Handle("GET /feed", app.Middleware(feed))
}
