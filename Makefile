# make           build; says what is missing for that, and installs nothing
# make try       install what is needed, build, start a local cloud, set up an instance in it, and one that a sign-up brings
# make down      remove every trace of the local cloud
# make test      install what the tests need, build, and run them all
# make chaos     set-up and every playbook killed around each of their writes, and resumed; ten thousand deliveries: half an hour
# make sanitize  the same tests under AddressSanitizer and UndefinedBehaviorSanitizer
# make fuzz      hostile input for what reads text from outside
# make lint      formatting and static analysis
# make stubs     definition files for editors into $(BUILD)/stubs, where .luarc.json finds them
# make bench     speed, as ratios against peers run side by side
# make install   into $(PREFIX)

BUILD     ?= build
PREFIX    ?= /usr/local
CC        ?= cc
# pkg-config's name of a library, and the Debian 12 package that has it.
NEEDED     = luajit:libluajit-5.1-dev libuv:libuv1-dev libcurl:libcurl4-openssl-dev libcjson:libcjson-dev \
             libssh2:libssh2-1-dev libpq:libpq-dev sqlite3:libsqlite3-dev libcares:libc-ares-dev \
             libssl:libssl-dev libsodium:libsodium-dev libcrypto:libssl-dev libedit:libedit-dev \
             expat:libexpat1-dev
LIBRARIES  = $(foreach pair,$(NEEDED),$(firstword $(subst :, ,$(pair))))
WARNINGS   = -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror
# The checks that sanitizers insert let the compiler suppose null texts that cannot be.
WARNINGS  += $(if $(SANITIZE),-Wno-format-overflow -Wno-format-truncation)
CFLAGS    ?= -O2 -g
override CFLAGS += -std=gnu11 $(WARNINGS) -Iruntime -Imodules $(SANITIZE) \
                   $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null)
LDLIBS     = $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -lm

# Debian 12 packages by what needs them. npm comes with nodejs where that is not Debian's own.
PACKAGES_BUILD = gcc libc6-dev make pkg-config $(foreach pair,$(NEEDED),$(lastword $(subst :, ,$(pair)))) \
                 openssh-client ca-certificates lua-check
PACKAGES_CLOUD = mmdebstrap systemd-container iproute2 util-linux openssl openssh-client curl jq pebble postgresql \
                 python3 python3-aiosmtpd
PACKAGES_TEST  = $(PACKAGES_CLOUD) perl openssh-server python3 python3-jsonschema python3-yaml bsdutils tmux sudo procps \
                 faketime strace wrk dropbear-bin nodejs npm libio-socket-ssl-perl csh tcsh fish zsh ksh93u+m mksh \
                 busybox dpkg-dev gnupg
PACKAGES_LINT  = clang-format clang-tidy cppcheck shellcheck
PACKAGES_BENCH = openssh-server python3 iproute2 ansible-core fabric pssh postgresql strace wrk slowhttptest nodejs npm \
                 openssl

C_FILES    = $(filter-out runtime/embed/%,$(wildcard runtime/*.c runtime/*/*.c runtime/*/*/*.c modules/*.c modules/*/*.c))
LUA_FILES  = $(sort $(wildcard runtime/*.lua runtime/*/*.lua runtime/*/*/*.lua modules/*.lua modules/*/*.lua))
# luacheck's lexer and parser, for `hostler check`, and its licence: in the binary under luacheck/.
LUACHECK   = /usr/share/lua/5.1/luacheck
LUACHECKED = $(foreach part,lexer parser decoder utils unicode unicode_printability_boundaries,\
                 luacheck/$(part).lua=$(LUACHECK)/$(part).lua) luacheck/copyright=/usr/share/doc/lua-check/copyright
OBJECTS    = $(C_FILES:%.c=$(BUILD)/%.o) $(BUILD)/embedded.o

build: needed
	@$(MAKE) --no-print-directory binaries

# Says what cannot be found of all that a build takes.
needed:
	@missing=; look() { echo "$$2: $$1" >&2; missing="$$missing $$2"; }; \
	command -v $(firstword $(CC)) >/dev/null || look "there is no compiler $(firstword $(CC))" gcc; \
	command -v pkg-config >/dev/null || look "there is no pkg-config" pkg-config; \
	[ -e $(LUACHECK)/lexer.lua ] || look "there is no $(LUACHECK)/lexer.lua" lua-check; \
	for pair in $(NEEDED); do \
	    pkg-config --exists "$${pair%:*}" 2>/dev/null || look "pkg-config does not know $${pair%:*}" "$${pair#*:}"; \
	done; \
	[ -z "$$missing" ] || { \
	    printf 'On Debian: make packages-build, or: apt-get install%s\n' "$$missing" >&2; exit 1; }

binaries: $(BUILD)/hostler $(BUILD)/lua-test

$(BUILD)/hostler: $(OBJECTS)
	@echo LINK $@
	@$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $(OBJECTS) $(LDLIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo CC $<
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/embedded.S: runtime/embed/table.sh $(BUILD)/runtime/embed/bytecode $(LUA_FILES) Makefile
	@mkdir -p $(addprefix $(BUILD)/bytecode/,$(sort $(dir $(LUA_FILES))) luacheck)
	@$(BUILD)/runtime/embed/bytecode $(BUILD)/bytecode $(LUA_FILES) $(filter %.lua,$(LUACHECKED))
	@runtime/embed/table.sh $(BUILD)/bytecode $(LUA_FILES) $(LUACHECKED) > $@

$(BUILD)/runtime/embed/bytecode: $(BUILD)/runtime/embed/bytecode.o
	@$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $< $(LDLIBS)

$(BUILD)/embedded.o: $(BUILD)/embedded.S
	@$(CC) -c -o $@ $<

# Runs the Lua tests: the same world without the commands.
$(BUILD)/lua-test: $(BUILD)/tests/lua_test.o $(filter-out $(BUILD)/runtime/main.o $(BUILD)/runtime/command/%,$(OBJECTS))
	@echo LINK $@
	@$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Installs the packages of $(PACKAGES_X) that are missing. A package is asked for by name, never upgraded.
packages-build:  PACKAGES = $(PACKAGES_BUILD)
packages-cloud:  PACKAGES = $(PACKAGES_BUILD) $(PACKAGES_CLOUD)
packages-test:   PACKAGES = $(PACKAGES_BUILD) $(PACKAGES_TEST)
packages-lint:   PACKAGES = $(PACKAGES_BUILD) $(PACKAGES_LINT)
packages-bench:  PACKAGES = $(PACKAGES_BUILD) $(PACKAGES_BENCH)
packages-%:
	@tests/lib/install-packages $(PACKAGES)

try: packages-cloud
	$(MAKE) binaries
	tests/cloud/try

down:
	tests/cloud/cloud down --purge
	tests/servers/tree purge

test: packages-test
	$(MAKE) binaries
	tests/run

chaos: packages-test
	$(MAKE) binaries
	CHAOS=all TEST_SECONDS=7200 tests/run tests/chaos tests/playbook/promises.t tests/command/serve_kill.t

# The sanitizers make gcc see dangers that are none, so warnings are no errors here.
sanitize: packages-test
	$(MAKE) BUILD=build-sanitize CFLAGS='-O1 -g -fno-omit-frame-pointer' SANITIZE='-fsanitize=address,undefined' \
	    WARNINGS='-Wall -Wextra' binaries
	HOSTLER_BUILD=build-sanitize tests/run

# Twenty seconds of hostile input, under the sanitizers.
fuzz: packages-build
	$(MAKE) BUILD=build-sanitize CFLAGS='-O1 -g -fno-omit-frame-pointer' SANITIZE='-fsanitize=address,undefined' \
	    WARNINGS='-Wall -Wextra' build-sanitize/fuzz
	build-sanitize/fuzz 20

$(BUILD)/fuzz: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/*.c)) $(filter-out $(BUILD)/runtime/main.o $(BUILD)/runtime/command/%,$(OBJECTS))
	$(CC) $(SANITIZE) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What .luarc.json names.
stubs: build
	@$(BUILD)/hostler stubs $(BUILD)/stubs >/dev/null

TEST_C_FILES = $(wildcard runtime/embed/*.c tests/*.c tests/*/*.c)
H_FILES      = $(wildcard runtime/*.h runtime/*/*.h runtime/*/*/*.h modules/*.h modules/*/*.h)

lint: packages-lint
	clang-format --dry-run --Werror $(C_FILES) $(TEST_C_FILES) $(H_FILES)
	@$(MAKE) --no-print-directory tidy
	cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem -Iruntime -Imodules $(C_FILES) runtime/embed/bytecode.c
	luacheck --quiet runtime modules playbooks tests
	shellcheck --external-sources --source-path=SCRIPTDIR $(shell find runtime tests .ci -type f -exec \
	    awk 'FNR == 1 && /^\#!.*(bash|\/sh)$$/ { print FILENAME }' {} +) tests/cloud/lock.sh

# clang-tidy takes some seconds for each file: as many at once as there are cores.
tidy:
	@echo clang-tidy, $(words $(C_FILES) $(TEST_C_FILES)) files
	@printf '%s\n' $(C_FILES) $(TEST_C_FILES) | xargs -P "$$(nproc)" -I FILE clang-tidy --quiet FILE -- \
	    -std=gnu11 -Iruntime -Imodules $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null) 2>/dev/null

bench: packages-bench
	$(MAKE) binaries
	@mkdir -p $(BUILD)/bench
	$(CC) $(CFLAGS) tests/bench/empty.c -o $(BUILD)/bench/empty -Wl,--no-as-needed $(LDLIBS)
	$(CC) $(CFLAGS) tests/bench/ssh_loop.c -o $(BUILD)/bench/ssh_loop $(LDLIBS)
	$(CC) $(CFLAGS) tests/bench/measure.c -o $(BUILD)/bench/measure
	tests/bench/run
	tests/bench/web
	tests/bench/serve
	tests/bench/journal
	RUNS_STORE=postgresql tests/lib/with-postgres tests/bench/journal
	tests/bench/queue
	RUNS_STORE=postgresql tests/lib/with-postgres tests/bench/queue
	tests/bench/deliveries
	RUNS_STORE=postgresql tests/lib/with-postgres tests/bench/deliveries
	tests/bench/with-sshd tests/bench/prompt

# A file of a part's name beside the playbooks would count before the part, so there is none.
INSTALLED  = $(DESTDIR)$(PREFIX)/share/hostler/playbooks

install: build
	install -D $(BUILD)/hostler $(DESTDIR)$(PREFIX)/bin/hostler
	install -d $(INSTALLED)/parts
	install -m 644 $(wildcard playbooks/*.lua) playbooks/SCRIPTING.md $(INSTALLED)
	install -m 644 $(wildcard playbooks/parts/*.lua) $(INSTALLED)/parts
	rm -f $(patsubst playbooks/parts/%,$(INSTALLED)/%,$(wildcard playbooks/parts/*.lua))

clean:
	rm -rf build build-sanitize

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: build needed binaries stubs try down test chaos sanitize fuzz lint tidy bench install clean
.DEFAULT_GOAL := build
