# make try    install what is needed, build, start the local cloud and set up an instance in it
# make test   install what the tests need, build, and run them all
# make down   remove every trace of the local cloud

BUILD     ?= build
CC        ?= cc
LIBRARIES  = luajit libuv libcurl libcjson libssh2 libpq sqlite3 libcares libmicrohttpd libsodium libcrypto libedit
WARNINGS   = -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror
CFLAGS    ?= -O2 -g
CFLAGS    += -std=gnu11 $(WARNINGS) -Iruntime $(shell pkg-config --cflags $(LIBRARIES) 2>/dev/null) $(SANITIZE)
LDFLAGS   += -rdynamic $(SANITIZE)
LDLIBS     = $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null) -lm

C_FILES    = $(wildcard runtime/*.c runtime/command/*.c modules/*.c)
LUA_FILES  = $(sort $(wildcard runtime/lua/*.lua modules/*.lua))
OBJECTS    = $(C_FILES:%.c=$(BUILD)/%.o) $(BUILD)/embedded.o

all: $(BUILD)/hostler $(BUILD)/lua-test

$(BUILD)/hostler: $(OBJECTS)
	$(CC) $(LDFLAGS) -o $@ $(OBJECTS) $(LDLIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/embedded.S: runtime/embed.sh $(LUA_FILES) Makefile
	@mkdir -p $(@D)
	runtime/embed.sh $(LUA_FILES) > $@

$(BUILD)/embedded.o: $(BUILD)/embedded.S
	$(CC) -c -o $@ $<

# Runs the Lua tests: the same world without the commands.
$(BUILD)/lua-test: $(BUILD)/tests/lua_test.o $(filter-out $(BUILD)/runtime/main.o $(BUILD)/runtime/command/%,$(OBJECTS))
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

clean:
	rm -rf $(BUILD)

-include $(OBJECTS:.o=.d)

.PHONY: all clean
