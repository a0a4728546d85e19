# The commands a developer needs.
.PHONY: test demo assets fuzz bench model followers faults rolling soak cluster
test:   ; script/test                                # everything, as CI runs it
demo:   ; go run ./cmd/exeunt demo                   # the authority, Chirp and a tour
assets: ; go run ./internal/ui/build                 # rebuild the committed browser assets
fuzz:   ; script/fuzz                                # every fuzz target for 60 s
bench:  ; go run ./bench                             # figures beside their limits
model:  ; script/model                               # every state of the freshness protocol, with spin
followers: ; go test -count=1 -v -timeout 20m -run TestFollowersMissNothing ./internal/testnode -endings 100000 -cut 60ms # while connections are cut
faults: ; go test -count=1 -v -timeout 20m -skip 'Soak|Rolling' ./internal/fault # kill -9, stopped processes, failing disks
rolling: ; go test -count=1 -v -timeout 20m -run Rolling ./internal/fault       # two versions side by side
soak:   ; go test -count=1 -v -timeout 0 -run Soak ./internal/fault -minutes 20 $(if $(SEED),-seed $(SEED)) # half load, random faults
cluster: ; script/cluster                         # the production shape, and the primary lost under load
