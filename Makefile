# SPDX-License-Identifier: LGPL-2.1-or-later
# For people who type make. The build itself is Meson's: meson setup build && ninja -C build
BUILD = build
NINJA = ninja
LAB =

all: $(BUILD)/build.ninja
	@$(NINJA) -C $(BUILD)

$(BUILD)/build.ninja:
	@command -v meson >/dev/null || { echo "make: there is no meson here; 'tools/bootstrap lab' installs what is needed" >&2; exit 1; }
	@meson setup $(BUILD) --buildtype=debugoptimized >$(BUILD).log 2>&1 || { cat $(BUILD).log; rm -f $(BUILD).log; \
		echo "make: 'tools/bootstrap lab' installs what is needed" >&2; exit 1; }
	@sed -n 's/^Message: //p' $(BUILD).log; rm -f $(BUILD).log

# The guided lab. Options for it in LAB: make lab LAB="--step --sensor=ebpf"
lab:
	@tools/bootstrap lab
	@$(MAKE) -s $(BUILD)/build.ninja
	@echo "Building ..."
	@if [ -t 1 ]; then cd $(BUILD) && NINJA_STATUS='%f of %t: ' $(NINJA); \
	else $(NINJA) -C $(BUILD) --quiet 2>/dev/null || $(NINJA) -C $(BUILD); fi
	@$(BUILD)/src/cli/imsafe lab $(LAB)

# All tests, in every build that is kept working: gcc, clang with sanitizers, without the optional parts.
check:
	@tools/bootstrap check
	@tools/check

bench: all
	@meson test -C $(BUILD) --benchmark --verbose

# To another place: meson configure build -Dprefix=$HOME/.local, or make install DESTDIR=...
install: $(BUILD)/build.ninja
	@echo "Building and installing ..."
	@rm -f $(BUILD)/install.log; meson install -C $(BUILD) >$(BUILD)/install.log 2>&1 || { \
		if grep -q PermissionError $(BUILD)/install.log; then \
			echo "make: you may not write there: 'sudo make install', or choose another place and try again:" >&2; \
			echo "    meson configure $(BUILD) -Dprefix=$$HOME/.local" >&2; \
		else tail -n 20 $(BUILD)/install.log >&2; fi; exit 1; }
	@sed -n 's|^Installing src/cli/imsafe to |imsafe is in |p' $(BUILD)/install.log

clean:
	rm -rf $(BUILD) build-asan build-tsan build-lean build-servers imsafe-lab

.PHONY: all lab check bench install clean
