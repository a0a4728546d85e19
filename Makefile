# The commands a developer needs.
.PHONY: test demo assets fuzz bench model cluster
test:   ; script/test                                # everything, as CI runs it
demo:   ; go run ./cmd/exeunt demo                   # the authority, Chirp and a tour
assets: ; go run ./internal/ui/build                 # rebuild the committed browser assets
fuzz:   ; script/fuzz                                # every fuzz target for 60 s
bench:  ; go run ./bench                             # figures beside their limits
model:  ; script/model                               # every state of the freshness protocol, with spin
cluster: ; script/cluster                         # the production shape, and the primary lost under load
