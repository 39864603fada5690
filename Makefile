# SPDX-License-Identifier: LGPL-2.1-or-later
# For people who type make. The build itself is Meson's: meson setup build && ninja -C build
BUILD = build
NINJA = ninja
LAB =

all: $(BUILD)/build.ninja
	@$(NINJA) -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --buildtype=debugoptimized >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

# The guided lab. Options for it in LAB: make lab LAB="--step --sensor=ebpf"
lab:
	@tools/bootstrap lab
	@$(MAKE) -s $(BUILD)/build.ninja
	@echo "Building ..."
	@$(NINJA) -C $(BUILD) --quiet 2>/dev/null || $(NINJA) -C $(BUILD)
	@$(BUILD)/src/cli/imsafe lab $(LAB)

# All tests, in every build that is kept working: gcc, clang with sanitizers, without the optional parts.
check:
	@tools/bootstrap check
	@tools/check

bench: all
	@meson test -C $(BUILD) --benchmark --verbose

install: all
	@meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-asan build-tsan build-lean imsafe-lab

.PHONY: all lab check bench install clean
