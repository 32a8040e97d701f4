# Sotto. `make up` runs everything on this machine, `make test` proves it; the rest is for comfort.
.DEFAULT_GOAL := help
.PHONY: help up down status logs build test test-quick bench bench-sfu clean format screenshots

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

up: ## install, build, start everything; prints the URL and the demo accounts
	@deploy/packages
	@deploy/build
	@deploy/stack up

down: ## stop what `make up` started
	@deploy/stack down

status: ## what is running, and is it well
	@deploy/stack status

logs: ## follow the logs (make logs PART=signald for one)
	@deploy/stack logs $(PART)

build: ## build the servers (Release, build/) and the web app
	@deploy/packages
	@deploy/build

test: ## everything that CI runs
	@deploy/packages --tests
	@tests/run

test-quick: ## checks and unit tests only
	@deploy/packages --tests
	@tests/run checks unit web

bench: ## measure everything beside its peers (under 40 minutes); writes docs/bench/results.md
	@deploy/packages --bench
	@bench/run --all --compare --report

bench-sfu: ## the forwarding unit's table of targets beside Janus and the floor (25 minutes); writes docs/bench/sfu.md
	@deploy/packages --tests
	@bench/sfu --save

format: ## clang-format over our C
	@git ls-files '*.c' '*.h' | xargs clang-format -i

screenshots: build ## take the pictures of docs/screens anew
	@deploy/packages --tests
	@deploy/npm-install tests
	@node tests/browser/screenshots.mjs

clean: ## remove builds (keeps var/)
	@rm -rf build build-* web/app/dist
