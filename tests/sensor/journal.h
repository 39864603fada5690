/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal in which tracees note each call just before they make it: a shared mapping, because a write would be a
 * call too. The contract test compares it with what a sensor reported.
 */
#ifndef IMSAFE_TESTS_JOURNAL_H
#define IMSAFE_TESTS_JOURNAL_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

#define JOURNAL_ENTRIES 400000
#define JOURNAL_MARK    SYS_sched_get_priority_min /* libc makes other calls before this one: skip to it */

struct journal_entry {
	uint32_t tid;
	uint32_t parent; /* of a thread's first entry, 0 = not told */
	uint16_t call;
	uint8_t origin;  /* as in struct event */
	uint8_t last;    /* the call may be the victim of a kill: it may be missing */
};

struct journal {
	atomic_uint n;
	atomic_uint ready, go, failed; /* for talking between tracee and test */
	atomic_ulong progress;
	struct journal_entry entries[JOURNAL_ENTRIES];
};

#endif
