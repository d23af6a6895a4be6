# SPDX-License-Identifier: ISC
#
# uvmbed: everything is built under build/ (O=DIR for another place); V=1 shows the commands.
# `make help` lists the targets.

O       ?= build
VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
CC      := gcc
NASM    ?= nasm
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# The contract's identity: a hash of every header both sides compile (shared/abi.h). Host and guest
# that differ in one of them refuse each other.
CONTRACT := $(sort $(wildcard shared/*.h shared/*.def guest/*.h guest/machine/*.h guest/uvm/*.h))
BUILD_ID := $(shell cat $(CONTRACT) | sha256sum | cut -c1-16)

WARN    := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef \
           -Wpointer-arith -Wwrite-strings -Wvla -Werror
COMMON  := -std=gnu11 -O2 -g $(WARN) -I. -include $(O)/gen/buildid.h -MMD -MP \
           -ffile-prefix-map=$(CURDIR)/= -ffile-prefix-map=$(abspath $(O))=build
HOST    := $(COMMON) -D_GNU_SOURCE -DUVMBED_VERSION='"$(VERSION)"' -Iguest -fno-omit-frame-pointer
GUEST   := $(COMMON) -Iguest -march=x86-64 -mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fno-pic \
           -ffreestanding -fno-stack-protector -fcf-protection=none -fno-omit-frame-pointer \
           -fasynchronous-unwind-tables -fno-strict-aliasing -fno-delete-null-pointer-checks
CHECKED := -DBED_CHECKED_BUILD
FUZZ    := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
SAN     := -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN    := -fsanitize=thread
TWIN    := $(COMMON) -D_GNU_SOURCE -Iguest/twin -Iguest -DBED_TWIN -fno-omit-frame-pointer -fno-strict-aliasing
# The twin as a machine: the whole guest kernel but for what is the CPU's.
MACHINE := $(COMMON) -D_GNU_SOURCE -Iguest/twin/engine -Iguest/twin -Iguest -DBED_TWIN -fPIE -fdata-sections \
           -fno-omit-frame-pointer -fno-strict-aliasing -fno-builtin-printf -fno-delete-null-pointer-checks
ASGUEST := -ftls-model=local-exec -mgeneral-regs-only -mno-red-zone -fno-pic -fno-stack-protector -fcf-protection=none \
           -fno-delete-null-pointer-checks
# COV=1, with an O= of its own: lines and branches are counted, the sanitizers are left out (make coverage).
ifdef COV
SAN  := --coverage -fprofile-update=atomic
HOST += $(SAN) -O0
TWIN += -O0
endif
LIBS    := -lelf -ldw -ljansson -lpthread -lm

# Sources: a folder is a unit; a new file needs no line here.
GUEST_C   := $(wildcard guest/*.c guest/uvm/*.c)
GUEST_ASM := $(wildcard guest/*.asm)
TWIN_C    := $(wildcard guest/uvm/*.c guest/twin/*.c) $(wildcard guest/pmap*.c guest/thread*.c guest/lock*.c guest/planted.c)
MACHINE_C := $(wildcard guest/uvm/*.c guest/twin/engine/*.c) $(wildcard guest/pmap*.c guest/thread*.c) \
             $(filter-out guest/calls_access.c guest/calls_bench.c guest/calls_work.c,$(wildcard guest/calls*.c)) \
             $(patsubst %,guest/%.c,console event format lock lock_check main maps panic planted stop worker) \
             $(patsubst %,guest/twin/%.c,fault tlb)
LIB_C     := $(filter-out vmm/cmd/%,$(wildcard vmm/*.c vmm/*/*.c))
CMD_C     := $(wildcard vmm/cmd/*.c bench/*.c)
CMD_ASM   := vmm/cmd/builtin.asm
UNIT_C    := tests/bedtest.c $(wildcard tests/unit/*.c)
BED_C     := tests/bedtest.c $(wildcard tests/bed/*.c)
TTWIN_C   := tests/bedtest.c tests/race/program.c $(wildcard tests/twin/*.c)
RACE_C    := $(wildcard tests/race/*.c)
META_C    := tests/bedtest.c $(wildcard tests/meta/*.c)

obj = $(patsubst %,$(O)/$(1)/%.o,$(basename $(2)))

.PHONY: all run check bench install clean help prereq prereq-dev check-twin check-unit check-bed check-twin-bed check-tsan check-meta \
        bench-twin properties check-properties check-clang check-format check-image check-bench check-stock check-intel check-stock-self \
        check-planted stock-shell fuzz coverage .FORCE
all: $(O)/uvmbed $(O)/guest.elf $(O)/guest-checked.elf

help:
	@sed -n 's/^#: //p' Makefile

#: make run           install what is missing, build, run the allocator under full checks, measure
run: prereq
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(O)/uvmbed run
	$(Q)$(O)/uvmbed bench

#: make check         install what is missing, build, pass every test (engine: this host's /dev/kvm)
check: prereq-dev
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)$(MAKE) --no-print-directory check-meta check-tsan check-image check-properties
	$(Q)$(MAKE) --no-print-directory check-twin-bed
	$(Q)tests/run $(O) "$$($(O)/uvmbed engine --class || echo none)" unit twin bed

#: make check-unit    host-only tests, no /dev/kvm needed (address and undefined sanitizers)
#: make check-twin    the allocator as an ordinary process, under address and undefined sanitizers
#: make check-bed     the tests that boot a guest
check-unit check-twin: check-%: $(O)/tests/%
	$(Q)tests/run $(O) host $*
check-bed: $(O)/tests/bed all
	$(Q)tests/run $(O) "$$($(O)/uvmbed engine --class || echo none)" bed

#: make check-twin-bed  the same tests with the twin in the guest's place, under address and undefined sanitizers
check-twin-bed: $(O)/san/tests/bed all
	$(Q)BEDTEST_ENGINE=twin TEST_FILTER='$(or $(TEST_FILTER),!(death|hv|cli|bench|smp|smp_random|snapshot|reset|logaudit|bundle|finding|planted)/*)' \
	    tests/run $(O)/san twin bed

#: make check-stock   the same tests on Debian's unmodified kernel and kvm_amd in QEMU, nested paging on and off
check-stock:
	$(Q).ci/prereq stock $(O)
	$(Q)$(MAKE) --no-print-directory all $(O)/tests/bed
	$(Q)tests/stock/run $(O)
#: make check-intel   ... and on kvm_intel, in Bochs: half an hour, so on demand only
check-intel:
	$(Q).ci/prereq intel $(O)
	$(Q)$(MAKE) --no-print-directory all $(O)/tests/bed
	$(Q)STOCK_ENGINES=stock-ept BED_TIMEOUT_SCALE=40 TEST_TIMEOUT=900 tests/stock/run $(O)
#: make check-planted    every bug that can be planted is found by the checks named for it: the kill matrix
#: make check-planted FULL=1   every bug against the corpus and the test suites, too
check-planted: all
	$(Q)tests/planted/run $(O) $(FULL)
#: make check-stock-self   what goes wrong with that machine is noticed
check-stock-self:
	$(Q).ci/prereq stock $(O)
	$(Q)tests/stock/selftest $(O)
#: make stock-shell   a shell on that kernel, with this build in it (NPT=0: nested paging off)
stock-shell:
	$(Q).ci/prereq stock $(O)
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/stock/boot -b $(O) -n $(or $(NPT),1) -i sh

#: make bench         every benchmark, human-readable (uvmbed bench --json for machines)
bench: all
	$(Q)$(O)/uvmbed bench

#: make bench-twin    instructions of the allocator's main paths, counted natively under callgrind
bench-twin: $(O)/twin_map
	$(Q).ci/prereq count $(O)
	$(Q)bench/twin/count $(O)/twin_map $(ALL)
$(O)/twin_map: $(call obj,twinrel,bench/twin/twin_map.c $(TWIN_C)) guest/twin/twin.ld
	$(call say,LD,$@)
	$(Q)$(CC) -no-pie -o $@ $(filter %.o,$^) -Wl,-T,guest/twin/twin.ld

#: make bench-start   how long a whole test takes that only starts a bed from its snapshot
.PHONY: bench-start
bench-start: all $(O)/tests/bed
	$(Q)bench/start $(O)

#: make check-tsan    random programs on 2 to 8 CPUs of the twin, under the thread and the address sanitizer (SEED=n)
check-tsan: $(O)/tests/race-tsan $(O)/tests/race
	$(Q)tests/race/check $(O) $(SEED)

#: make check-meta    the test runner tells good from bad
check-meta: $(O)/tests/meta
	$(Q)tests/run-meta $(O)

#: make check-image   two builds of the guest image are equal, byte for byte; INVLPG, writes to control registers
#:                    and the like stand only where guest/privileged.list allows them
check-image: $(O)/guest.elf $(O)/guest-checked.elf
	$(Q)$(MAKE) --no-print-directory O=$(O)/again $(O)/again/guest.elf $(O)/again/guest-checked.elf >/dev/null
	$(Q)cmp $(O)/guest.elf $(O)/again/guest.elf && cmp $(O)/guest-checked.elf $(O)/again/guest-checked.elf
	@echo "guest images: two builds are byte for byte equal"
	$(Q)tests/image-scan-self $(O)
	$(Q)tests/image-scan -a guest/privileged.list $(O)/guest.elf $(O)/guest-checked.elf

#: make check-clang   the host side compiles with clang too
check-clang: $(call obj,clang,$(LIB_C) $(CMD_C))

#: make fuzz          search for bugs in all that reads untrusted bytes: TIME=60 seconds a target, FUZZ_TARGETS="trace elf" chooses
fuzz:
	$(Q).ci/prereq fuzz $(O)
	$(Q)$(MAKE) --no-print-directory $(O)/guest.elf $(FUZZERS)
	$(Q)tests/fuzz/run $(O) $(or $(TIME),60) $(FUZZ_TARGETS)

#: make coverage      lines and branches that the tests reach: a summary, and build/coverage/index.html
coverage:
	$(Q).ci/prereq coverage $(O)
	$(Q)$(MAKE) --no-print-directory O=$(O)/cov COV=1 all tests
	$(Q)tests/coverage $(O)

#: make check-format  the tree obeys .clang-format
check-format:
	$(Q)clang-format --dry-run -Werror $$(git ls-files '*.c' '*.h')

#: make properties    docs/properties.md: which test checks which property, from the tags of the tests
#: make check-properties  ... is up to date, and every property that is demanded has a test
PROPERTIES = awk -f tests/properties.awk tests/properties.list \
             $(sort $(wildcard tests/*/*.c) $(wildcard tests/corpus/*.trace)) docs/properties.md
properties:
	@mkdir -p $(O)
	$(Q)$(PROPERTIES) >$(O)/properties.md; rc=$$?; \
	    ! grep -q 'end of the table' $(O)/properties.md || cp $(O)/properties.md docs/properties.md; exit $$rc
check-properties:
	@mkdir -p $(O)
	$(Q)tests/properties-self $(O)
	$(Q)$(PROPERTIES) >$(O)/properties.md
	$(Q)cmp -s $(O)/properties.md docs/properties.md || \
	    { echo "docs/properties.md is not what the tests are tagged with: make properties" >&2; exit 1; }

#: make install       PREFIX=/usr/local, DESTDIR= as usual
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/uvmbed
	install -m 755 $(O)/uvmbed $(DESTDIR)$(PREFIX)/bin/uvmbed
	install -m 644 $(O)/guest.elf $(O)/guest-checked.elf $(DESTDIR)$(PREFIX)/lib/uvmbed/
	for s in 1 5 9; do \
	    install -d $(DESTDIR)$(PREFIX)/share/man/man$$s && \
	    install -m 644 docs/man/*.$$s $(DESTDIR)$(PREFIX)/share/man/man$$s/ || exit 1; \
	done

#: make clean         remove the build directory
clean:
	rm -rf $(O)

prereq:
	$(Q).ci/prereq run $(O)
prereq-dev:
	$(Q).ci/prereq check $(O)

# Generated: the build id (rewritten only when it changes) and layout.h for NASM.
$(O)/gen/buildid.h: .FORCE
	@mkdir -p $(@D); printf '#define BED_BUILD_ID "%s"\n' $(BUILD_ID) >$@.new; \
	    if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
$(O)/gen/layout.inc: shared/layout.h Makefile
	@mkdir -p $(@D)
	$(Q)sed -n 's/^#define \(BED_[A-Z0-9_]*\) *\(0x[0-9a-f]*\|[0-9]*\)\( .*\)\{0,1\}$$/%define \1 \2/p' $< >$@

# One rule a kind of object.
define rules # name, flags
$(O)/$(1)/%.o: %.c $(O)/gen/buildid.h
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$(2) -c -o $$@ $$<
$(O)/$(1)/%.o: %.asm $(O)/gen/layout.inc
	@mkdir -p $$(@D)
	$$(call say,NASM,$$@)
	$$(Q)$$(NASM) -f elf64 $(3) -I$(O)/gen/ -MD $$(@:.o=.d) -MP -o $$@ $$<
endef
$(eval $(call rules,host,$(CC) $(HOST)))
$(eval $(call rules,asan,$(CC) $(HOST) $(SAN)))
$(eval $(call rules,clang,clang $(HOST)))
$(eval $(call rules,fuzz,clang $(HOST) $(FUZZ)))
$(eval $(call rules,guest,$(CC) $(GUEST)))
$(eval $(call rules,guestck,$(CC) $(GUEST) $(CHECKED),-DBED_CHECKED_BUILD))
$(eval $(call rules,twin,$(CC) $(TWIN) $(CHECKED) $(SAN)))
$(eval $(call rules,twintsan,$(CC) $(TWIN) $(CHECKED) $(TSAN)))
$(eval $(call rules,twinrel,$(CC) $(TWIN) $(ASGUEST)))
$(eval $(call rules,machine,$(CC) $(MACHINE)))
$(eval $(call rules,machineck,$(CC) $(MACHINE) $(CHECKED)))
$(eval $(call rules,machineasan,$(CC) $(MACHINE) $(SAN)))
$(eval $(call rules,machineckasan,$(CC) $(MACHINE) $(CHECKED) $(SAN)))

link_guest = ld -static -nostdlib -z max-page-size=4096 -z noexecstack --build-id=none -T guest/guest.ld -o $@
$(O)/guest.elf: $(call obj,guest,$(GUEST_C) $(GUEST_ASM)) guest/guest.ld
	$(call say,LD,$@)
	$(Q)$(link_guest) $(filter %.o,$^)
$(O)/guest-checked.elf: $(call obj,guestck,$(GUEST_C) $(GUEST_ASM)) guest/guest.ld
	$(call say,LD,$@)
	$(Q)$(link_guest) $(filter %.o,$^)

# One object a flavour, of whose names only the machine itself is seen outside.
define machine # kind, flavour
$(O)/$(1)/twin.o: $(call obj,$(1),$(MACHINE_C)) guest/twin/engine/link.ld
	$$(call say,LD,$$@)
	$$(Q)ld -r -o $$@.all -T guest/twin/engine/link.ld $$(filter %.o,$$^)
	$$(Q)objcopy --keep-global-symbol=twin_machine_$(2) $$@.all $$@ && rm $$@.all
endef
$(eval $(call machine,machine,release))
$(eval $(call machine,machineck,checked))
$(eval $(call machine,machineasan,release))
$(eval $(call machine,machineckasan,checked))

$(O)/libuvmbed.a: $(call obj,host,$(LIB_C)) $(O)/machine/twin.o $(O)/machineck/twin.o
	$(call say,AR,$@)
	$(Q)rm -f $@; ar rcsD $@ $^
$(O)/libuvmbed-asan.a: $(call obj,asan,$(LIB_C)) $(O)/machineasan/twin.o $(O)/machineckasan/twin.o
	$(call say,AR,$@)
	$(Q)rm -f $@; ar rcsD $@ $^
$(O)/host/vmm/cmd/builtin.o: tests/corpus/first-light.trace
$(O)/uvmbed: $(call obj,host,$(CMD_C) $(CMD_ASM)) $(O)/libuvmbed.a
	$(call say,LD,$@)
	$(Q)$(CC) $(if $(COV),$(SAN)) -o $@ $^ $(LIBS)

.PHONY: tests
tests: $(O)/tests/unit $(O)/tests/twin $(O)/tests/bed $(O)/tests/meta $(O)/tests/race $(O)/tests/race-tsan
$(O)/tests/unit: $(call obj,asan,$(UNIT_C)) $(O)/libuvmbed-asan.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ -lcriterion $(LIBS)
$(O)/tests/bed: $(call obj,host,$(BED_C)) $(O)/libuvmbed.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(if $(COV),$(SAN)) -o $@ $^ -lcriterion $(LIBS)
$(O)/san/tests/bed: $(call obj,asan,$(BED_C)) $(O)/libuvmbed-asan.a
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ -lcriterion $(LIBS)
	$(Q)ln -sf ../guest.elf ../guest-checked.elf ../uvmbed $(O)/san/
$(O)/tests/twin: $(call obj,twin,$(TTWIN_C) $(TWIN_C)) guest/twin/twin.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) -o $@ $(filter %.o,$^) -Wl,-T,guest/twin/twin.ld -lcriterion
$(O)/tests/race: $(call obj,twin,$(RACE_C) $(TWIN_C)) guest/twin/twin.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) -o $@ $(filter %.o,$^) -Wl,-T,guest/twin/twin.ld -lpthread
$(O)/tests/race-tsan: $(call obj,twintsan,$(RACE_C) $(TWIN_C)) guest/twin/twin.ld
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(TSAN) -o $@ $(filter %.o,$^) -Wl,-T,guest/twin/twin.ld -lpthread
$(O)/tests/meta: $(call obj,asan,$(META_C))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ -lcriterion

# Fuzz targets, by clang: objects made by gcc would run without coverage.
FUZZERS := $(patsubst tests/fuzz/%.c,$(O)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$(O)/libuvmbed-fuzz.a: $(call obj,fuzz,$(LIB_C)) $(O)/machine/twin.o $(O)/machineck/twin.o
	$(call say,AR,$@)
	$(Q)rm -f $@; ar rcsD $@ $^
.SECONDARY: $(call obj,fuzz,$(wildcard tests/fuzz/*.c))
$(FUZZERS): $(O)/fuzz/%: $(O)/fuzz/tests/fuzz/%.o $(O)/libuvmbed-fuzz.a
	$(call say,LD,$@)
	$(Q)clang $(FUZZ) -fsanitize=fuzzer -o $@ $^ $(LIBS)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
