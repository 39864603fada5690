/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Syscall tables by architecture; generated from system headers by tools/syscall-tables. */
#ifndef IMSAFE_TRACE_ARCH_H
#define IMSAFE_TRACE_ARCH_H

#include <stddef.h>

enum syscall_arch { ARCH_UNKNOWN, ARCH_X86_64, ARCH_I386, ARCH_AARCH64, ARCHES };

const char *arch_name(enum syscall_arch arch); /* "x86_64"; "unknown" */
int arch_by_name(const char *name);            /* -ENOENT; knows "amd64", "i686", "arm64" too */
enum syscall_arch arch_native(void);

/* The call's name, or NULL if the table has none (ARCH_UNKNOWN: always). Static strings. */
const char *syscall_name(enum syscall_arch arch, unsigned call);
int syscall_by_name(enum syscall_arch arch, const char *name); /* number or -ENOENT */

/* For showing: the name, "call 417" without one, "invalid call" for CALL_INVALID. Returns buffer or a static string. */
const char *syscall_label(enum syscall_arch arch, unsigned call, char *buffer, size_t size);

#endif
