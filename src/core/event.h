/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The event: what a sensor says happened in one thread. One layout everywhere: it is the ring-buffer record
 * of the driver, what trace readers return and what learners and monitors eat.
 *
 * This folder is the only one that BPF code includes: integers only, no padding, no libc.
 */
#ifndef IMSAFE_CORE_EVENT_H
#define IMSAFE_CORE_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

enum event_kind {
	EVENT_CALL,   /* a system call was entered */
	EVENT_ATTACH, /* a thread that was already running is now seen: its past is unknown */
	EVENT_FORK,   /* a new thread or process */
	EVENT_EXEC,   /* the process runs a new program from here on */
	EVENT_EXIT,   /* the thread has ended */
	EVENT_GAP,    /* calls of this thread (tid 0: of any thread) were lost here */
	EVENT_KINDS
};

/* What kind of memory the calling instruction lies in. From ORIGIN_ANON on: code that should not make calls. */
enum event_origin {
	ORIGIN_UNKNOWN,  /* not looked up, or could not be (never an alarm, never an acquittal) */
	ORIGIN_FILE,     /* a file's mapping, executable and not writable */
	ORIGIN_VDSO,     /* the kernel's own page */
	ORIGIN_ANON,     /* anonymous memory: JIT or injected code */
	ORIGIN_STACK,    /* a stack */
	ORIGIN_HEAP,     /* the brk heap */
	ORIGIN_WRITABLE, /* a file's mapping that is writable too */
	ORIGIN_KINDS
};

/*
 * Not seen but judged: a file's code, but training saw no such call from this very place. In no trace; it takes the
 * place of ORIGIN_FILE where call sites are judged by a profile (model/sites.h and the driver at level "sites").
 */
#define ORIGIN_STRAY 7

/* By which door the call came in, relative to the architecture of the trace. */
enum event_abi {
	ABI_NATIVE,
	ABI_COMPAT, /* the 32-bit table (int 0x80 on x86): its numbers alias native ones */
	ABI_X32,    /* bit 30 of the number on x86-64 */
	ABI_KINDS
};

struct event {
	__u64 time; /* ns of CLOCK_MONOTONIC, 0 = not recorded */
	union {
		__u64 site; /* CALL: SITE(module, offset), 0 = unknown */
		__u64 lost; /* GAP: how many calls, 0 = unknown */
		struct {
			__u32 parent; /* FORK: the thread that made it, 0 = not known; EXEC: the thread's id before, if another */
			__u32 pid;    /* ATTACH, FORK, EXEC: the process (thread-group id), 0 = unknown */
		};
	};
	__u32 tid;    /* the thread's id as the kernel has it */
	__u16 call;   /* CALL: number in the trace's syscall table; CALL_INVALID = in no table */
	__u8 kind;    /* enum event_kind */
	__u8 origin;  /* CALL: EVENT_ORIGIN() and EVENT_ABI() */
};
_Static_assert(sizeof(struct event) == 24, "event layout is a file and kernel interface");

#define CALL_INVALID 0xffff

#define EVENT_ORIGIN(origin) ((origin) & 0x0f)
#define EVENT_ABI(origin)    (((origin) >> 4) & 0x03)
#define EVENT_FROM(class, abi) ((__u8)((class) | (abi) << 4))

/*
 * A call site that means the same in every process: which module (an index into the stream's module table, from 1)
 * and the offset of the instruction in the module's file. Module 0 with an offset is a bare address.
 */
#define SITE(module, offset) ((__u64)(module) << 48 | ((__u64)(offset) & SITE_OFFSET_MAX))
#define SITE_MODULE(site)    ((__u32)((site) >> 48))
#define SITE_OFFSET(site)    ((site) & SITE_OFFSET_MAX)
#define SITE_OFFSET_MAX      0xffffffffffffULL

/*
 * The model's alphabet: calls 0 to 510 as they are, one symbol for all the rest and for calls through a foreign ABI
 * (whose numbers mean something else). A power of two: a blind guess costs exactly ALPHABET_BITS.
 */
#define ALPHABET_BITS 9
#define ALPHABET      (1 << ALPHABET_BITS)
#define SYMBOL_OTHER  (ALPHABET - 1)
/* These stand only in contexts, before a thread's first calls: start-up is a phase of its own. */
#define SYMBOL_FORK   ALPHABET
#define SYMBOL_EXEC   (ALPHABET + 1)

static inline __u32 event_symbol(__u16 call, __u8 origin)
{
	return EVENT_ABI(origin) != ABI_NATIVE || call >= SYMBOL_OTHER ? SYMBOL_OTHER : call;
}

/* A foreign call: memory that should not make calls, or a foreign ABI. */
static inline int event_is_foreign(__u8 origin)
{
	return (origin & EVENT_FROM(0x0f, 0x03)) >= ORIGIN_ANON; /* a foreign ABI stands in higher bits */
}

/* Sums up what gaps say; a trace may say anything, and a sum that wraps would say less. */
static inline __u64 event_add_lost(__u64 sum, __u64 lost)
{
	return lost < ~sum ? sum + lost : ~0ULL;
}

#endif
