# The commands a developer needs.
.PHONY: test demo assets fuzz bench model
test:   ; script/test                                # everything, as CI runs it
demo:   ; go run ./cmd/exeunt demo                   # the authority, Chirp and a tour
assets: ; go run ./internal/ui/build                 # rebuild the committed browser assets
fuzz:   ; script/fuzz                                # every fuzz target for 60 s
bench:  ; go run ./bench --write docs/benchmarks.md  # figures beside their limits (--only gate,scs for parts)
model:  ; script/model                               # every state of the freshness protocol, with spin
