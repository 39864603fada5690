/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a call comes from, found in user space: what kind of memory holds the calling instruction, and which place in
 * which file. The mappings met last are remembered per address space; the kernel is asked only about new ones and after a
 * call that changes mappings. Not thread-safe per object.
 *
 * What this cannot see: code written into a file's private mapping through /proc/PID/mem or between two mprotect calls
 * still looks like the file's; a 32-bit program's sysenter hides its caller by design.
 */
#ifndef IMSAFE_SENSOR_ORIGIN_H
#define IMSAFE_SENSOR_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "core/event.h"
#include "trace/arch.h"
#include "trace/modules.h"

struct origin_space; /* one per address space, shared by the threads and vforked children that live in it */

struct origin_space *origin_space_new(void); /* NULL without memory; one reference */
struct origin_space *origin_space_ref(struct origin_space *space);
struct origin_space *origin_space_unref(struct origin_space *space); /* returns NULL */

/*
 * A call that changes mappings has been entered, and has returned (or its thread has ended). In between nothing is
 * remembered: other threads may run before or after the change.
 */
void origin_change_begin(struct origin_space *space);
void origin_change_end(struct origin_space *space);

/* Someone who is not watched shares the address space and may change it unseen: never remember anything. */
void origin_space_distrust(struct origin_space *space);

struct origin {
	uint8_t kind;     /* enum event_origin */
	uint32_t module;  /* index into modules, 0 = none */
	uint64_t offset;  /* of the instruction in the module's file; without a module: its address */
};

/*
 * ip is the instruction pointer that the kernel reports: just behind the calling instruction. sp tells a stack from
 * other anonymous memory. New modules are added to modules.
 */
void origin_find(struct origin_space *space, pid_t tid, uint64_t ip, uint64_t sp, struct modules *modules,
		 struct origin *ret_origin);

/* Path of a process's executable as it sees it, " (deleted)" taken off; -errno. And its build-id, "" if none is found. */
int executable_path(pid_t pid, char *ret_path, size_t size);
void executable_build_id(pid_t pid, char ret_hex[41]);

/*
 * The architecture whose calls a program makes: of its file, not of whatever it calls right now. ARCH_UNKNOWN: one whose table
 * we have not, and which is not foreign to it all the same; native for what is no program or can't be read.
 */
enum syscall_arch executable_arch(const char *path);

#endif
