/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Syscall tables: numbers everybody knows, both directions, and the numbers of the headers this was compiled with. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/event.h"
#include "trace/arch.h"
#include "../tap.h"

static bool is(enum syscall_arch arch, unsigned call, const char *name)
{
	const char *found = syscall_name(arch, call);

	return found && !strcmp(found, name) && syscall_by_name(arch, name) == (int)call;
}

int main(void)
{
	unsigned wrong = 0, n = 0;
	char buffer[32];

	ok(is(ARCH_X86_64, 0, "read") && is(ARCH_X86_64, 59, "execve") && is(ARCH_X86_64, 257, "openat") &&
	   is(ARCH_X86_64, 435, "clone3"), "x86_64");
	ok(is(ARCH_I386, 3, "read") && is(ARCH_I386, 11, "execve") && is(ARCH_I386, 102, "socketcall") &&
	   is(ARCH_I386, 435, "clone3"), "i386");
	ok(is(ARCH_AARCH64, 63, "read") && is(ARCH_AARCH64, 221, "execve") && is(ARCH_AARCH64, 222, "mmap") &&
	   is(ARCH_AARCH64, 25, "fcntl") && is(ARCH_AARCH64, 79, "newfstatat") && is(ARCH_AARCH64, 62, "lseek"), "aarch64");
	for (int arch = ARCH_X86_64; arch < ARCHES; arch++)
		ok(is(arch, 462, "mseal") && !syscall_name(arch, 244 + 60000), "%s knows newer calls and no others",
		   arch_name(arch));
	for (int arch = ARCH_X86_64; arch < ARCHES; arch++)
		for (unsigned call = 0; call < 600; call++) {
			const char *name = syscall_name(arch, call);

			n += name != NULL;
			wrong += name && syscall_by_name(arch, name) != (int)call;
		}
	ok(n > 1000 && !wrong, "every name leads back to its number (%u names)", n);
	ok(arch_native() == ARCH_UNKNOWN || (is(arch_native(), SYS_execveat, "execveat") &&
	   is(arch_native(), SYS_ppoll, "ppoll") && is(arch_native(), SYS_io_uring_enter, "io_uring_enter")),
	   "the native table is that of the headers");
	ok(arch_by_name("amd64") == ARCH_X86_64 && arch_by_name("arm64") == ARCH_AARCH64 && arch_by_name("i686") == ARCH_I386 &&
	   arch_by_name("unknown") == ARCH_UNKNOWN && arch_by_name("vax") == -ENOENT, "names of architectures");
	ok(!syscall_name(ARCH_UNKNOWN, 0) && syscall_by_name(ARCH_UNKNOWN, "read") == -ENOENT &&
	   syscall_by_name(ARCH_X86_64, "socketcall") == -ENOENT, "what is not known is not guessed");
	ok(!strcmp(syscall_label(ARCH_UNKNOWN, 417, buffer, sizeof(buffer)), "call 417") &&
	   !strcmp(syscall_label(ARCH_X86_64, CALL_INVALID, buffer, sizeof(buffer)), "invalid call"), "labels");
	return tap_done();
}
