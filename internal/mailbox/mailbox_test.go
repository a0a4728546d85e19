package mailbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"testing"
)

// open starts a mailbox and returns where mails are sent to, and its page.
func open(t *testing.T) (b *Box, addr string, page *httptest.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b = New()
	served := make(chan error, 1)
	go func() { served <- b.Serve(l) }()
	page = httptest.NewServer(b.Handler())
	t.Cleanup(func() {
		page.Close()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return b, l.Addr().String(), page
}

func send(t *testing.T, addr, to, text string) error {
	t.Helper()
	return smtp.SendMail(addr, nil, "no-reply@example.com", []string{to}, []byte(strings.ReplaceAll(text, "\n", "\r\n")))
}

func get(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const evil = `From: =?utf-8?q?Exeunt_=CE=A9?= <no-reply@example.com>
Subject: =?utf-8?q?<script>alert(1)</script>?=
Message-Id: <1@example.com>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=B

--B
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Open https://id.example.com/reset/exl_=
TOKEN?a=3D1&b=3D2. <script>alert(2)</script>
--B
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PHA+SGVsbG88L3A+PHNjcmlwdD5hbGVydCgzKTwvc2NyaXB0Pg==
--B--
`

// A mail is taken apart, programs get all of it, and on the pages nothing of it is markup or runs.
func TestAMailIsShown(t *testing.T) {
	_, addr, page := open(t)
	if err := send(t, addr, "ada@example.com", evil); err != nil {
		t.Fatal(err)
	}
	_, body := get(t, request(t, "GET", page.URL+"/messages"))
	var list []Message
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	m := list[0]
	if m.To != "ada@example.com" || !strings.HasPrefix(m.From, "Exeunt Ω") || m.Subject != "<script>alert(1)</script>" ||
		len(m.Links) != 1 || m.Links[0] != "https://id.example.com/reset/exl_TOKEN?a=1&b=2" ||
		!strings.HasPrefix(m.HTML, "<p>Hello</p>") || m.MessageID != "<1@example.com>" {
		t.Errorf("it is %+v", m)
	}
	for _, path := range []string{"/", "/" + m.ID} {
		resp, body := get(t, request(t, "GET", page.URL+path))
		if strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script") {
			t.Errorf("%s shows markup of a mail", path)
		}
		if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s has the policy %q", path, policy)
		}
	}
	resp, body := get(t, request(t, "GET", page.URL+"/"+m.ID+"/html"))
	if policy := resp.Header.Get("Content-Security-Policy"); body != m.HTML || !strings.HasPrefix(policy, "sandbox; default-src 'none'") {
		t.Errorf("the mail itself has the policy %q", policy)
	}
	if resp, _ := get(t, request(t, "GET", page.URL+"/77")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a mail that is not there: %s", resp.Status)
	}
}

// It keeps the last ones only, refuses large ones, and deletes all when it is told to.
func TestWhatIsKeptIsBounded(t *testing.T) {
	b, addr, page := open(t)
	for i := range maxMessages + 3 {
		if err := send(t, addr, "ada@example.com", fmt.Sprintf("Subject: %d\n\nHello\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	list := b.Messages()
	if len(list) != maxMessages || list[0].Subject != fmt.Sprint(maxMessages+2) {
		t.Errorf("%d are kept, the latest is %q", len(list), list[0].Subject)
	}
	if err := send(t, addr, "ada@example.com", "Subject: large\n\n"+strings.Repeat("x\n", maxMessage)); err == nil {
		t.Error("a large one is accepted")
	}
	// Another site must not do that, nor read it by a name of its own.
	foreign := request(t, "DELETE", page.URL+"/messages")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	if resp, _ := get(t, foreign); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site deletes: %s", resp.Status)
	}
	for _, host := range []string{"evil.example", "localhost.evil.example", "10.0.0.1:80"} {
		r := request(t, "GET", page.URL+"/messages")
		r.Host = host
		if resp, _ := get(t, r); resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s: %s", host, resp.Status)
		}
	}
	r := request(t, "DELETE", page.URL+"/messages")
	r.Host = "mailbox.localhost:8083"
	if resp, _ := get(t, r); resp.StatusCode != http.StatusNoContent || len(b.Messages()) > 0 {
		t.Errorf("after deleting there are %d: %s", len(b.Messages()), resp.Status)
	}
}
