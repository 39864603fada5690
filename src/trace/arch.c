/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trace/arch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/event.h"
#include "trace/syscall-tables.h"

static const struct {
	const char *name;
	const char *aliases[3];
	const char *const *names;
	size_t n_names;
	const unsigned short *by_name;
	size_t n_by_name;
} arches[ARCHES] = {
#define TABLE(arch) names_##arch, ARRAY_SIZE(names_##arch), by_name_##arch, ARRAY_SIZE(by_name_##arch)
	[ARCH_UNKNOWN] = { "unknown", { NULL }, NULL, 0, NULL, 0 },
	[ARCH_X86_64] = { "x86_64", { "amd64", "x86-64" }, TABLE(x86_64) },
	[ARCH_I386] = { "i386", { "i686", "i586", "x86" }, TABLE(i386) },
	[ARCH_AARCH64] = { "aarch64", { "arm64" }, TABLE(aarch64) },
};

const char *arch_name(enum syscall_arch arch)
{
	return arches[(unsigned)arch < ARCHES ? arch : ARCH_UNKNOWN].name;
}

int arch_by_name(const char *name)
{
	for (unsigned arch = 0; arch < ARCHES; arch++) {
		if (!strcmp(name, arches[arch].name))
			return (int)arch;
		for (size_t i = 0; i < ARRAY_SIZE(arches[arch].aliases); i++)
			if (arches[arch].aliases[i] && !strcmp(name, arches[arch].aliases[i]))
				return (int)arch;
	}
	return -ENOENT;
}

enum syscall_arch arch_native(void)
{
#if defined(__x86_64__)
	return ARCH_X86_64;
#elif defined(__i386__)
	return ARCH_I386;
#elif defined(__aarch64__)
	return ARCH_AARCH64;
#else
	return ARCH_UNKNOWN;
#endif
}

const char *syscall_name(enum syscall_arch arch, unsigned call)
{
	return (unsigned)arch < ARCHES && call < arches[arch].n_names ? arches[arch].names[call] : NULL;
}

int syscall_by_name(enum syscall_arch arch, const char *name)
{
	size_t low = 0, high;

	if ((unsigned)arch >= ARCHES)
		return -ENOENT;
	high = arches[arch].n_by_name;
	while (low < high) {
		size_t middle = (low + high) / 2;
		unsigned call = arches[arch].by_name[middle];
		int order = strcmp(name, arches[arch].names[call]);

		if (!order)
			return (int)call;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -ENOENT;
}

const char *syscall_label(enum syscall_arch arch, unsigned call, char *buffer, size_t size)
{
	const char *name = syscall_name(arch, call);

	if (name)
		return name;
	if (call == CALL_INVALID)
		return "invalid call";
	snprintf(buffer, size, "call %u", call);
	return buffer;
}
