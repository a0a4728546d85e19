# The commands a developer needs.
.PHONY: test demo assets fuzz bench model traffic followers faults rolling visits large soak cluster offline apps docs release reproducible install-test chart
test:   ; script/test                                # everything, as CI runs it
demo:   ; go run ./cmd/exeunt demo                   # the authority, Chirp and a tour
docs:   ; go run -C site .                           # the documentation as static pages, in dist/site
assets: ; go run ./internal/ui/build                 # rebuild the committed browser assets
fuzz:   ; script/fuzz                                # every fuzz target for 60 s
bench:  ; go run -C bench . --write ../docs/benchmarks.md # figures beside their limits (--only gate,scs for parts)
model:  ; script/model                               # every state of the freshness protocol, with spin
# Too long for every run of the tests, which include a short form of each.
LONG = go test -count=1 -v -timeout 0
# Checks while sessions start and end, and kill -9.
traffic: ; $(LONG) ./client/verify ./internal/authority ./internal/demo
	EXEUNT_E2E_FULL=1 node --test e2e/other_tabs.test.mjs
# Whether a node that follows the log misses or reorders an event.
followers: ; $(LONG) -run FollowersMissNothing ./internal/testnode -endings 100000 -cut 60ms
faults: ; $(LONG) -skip 'Soak|Rolling' ./internal/fault # kill -9, stopped processes, failing disks
	$(LONG) -run KilledWhileTelling ./internal/app
rolling: ; $(LONG) -run Rolling ./internal/fault     # two builds side by side
visits: ; $(LONG) -run Visits ./internal/store       # how many rows statements read, with a million sessions
# An account of 100,000 sessions ended, on three nodes.
large:  ; $(LONG) -run LargeAccount ./internal/testnode -large 100000 -quiet
soak:   ; $(LONG) -run Soak ./internal/fault -minutes 20 $(SEED:%=-seed %) # half load, random faults
# Figures of signing out without a network, 50 times in Chromium and in Firefox, on a machine with nothing else to do.
offline: ; EXEUNT_PRESSES=50 node --test --test-name-pattern='without network' e2e/offline.test.mjs
cluster: ; script/cluster                            # three nodes as in production; the primary fails under load
apps: # Miniflux and oauth2-proxy, from their Go modules, sign people in
	cd foreign && go build -o ../bin/ tool
	go build -o bin/ ./cmd/exeunt ./e2e/postgres
	EXEUNT_BIN=bin/exeunt node --test foreign/apps.test.mjs
release: ; cd release && go run . --out ../dist       # programs, packages, image, chart, bills of materials, checksums
reproducible: release                                # again, from a copy elsewhere and without the cache: the same bytes?
	cd release && go run . --out ../dist --check
install-test: ; script/install-test                  # the package in a clean Debian root, from init to purge; the image
chart: ; cd deploy/helm/check && go test -count=1 .   # the Helm chart, linted and rendered by Helm's library
