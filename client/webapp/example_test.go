package webapp_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

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
