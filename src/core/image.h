/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frozen image of a profile: one flat array of cells that the kernel and user space score against.
 *
 * A state is a context (the calls before this one, at most length - 1 of them, possibly after SYMBOL_FORK or
 * SYMBOL_EXEC). It is named by the index of its header cell, its base. The edge for call symbol s, if the profile has
 * seen s in that context, is the cell at base + 1 + s whose owner is base (a double array: one look, no hash).
 *
 *   header cell of state b: owner = b, next = suffix link (the context without its oldest call), cost = back-off cost
 *                           (the root's: of a call never seen),
 *                           flags = depth of the context, count = how often the context was seen
 *   edge cell:              owner = b, next = base of the following state, cost = how surprising the call is here,
 *                           flags = CELL_SEQUENCE if it completes a learned k-sequence, count = how often seen
 *   free cell:              owner = CELL_FREE
 *
 * The root (empty context) is at index 0; its suffix link is itself. IMAGE_TAIL free cells end the array, so that
 * base + 1 + s is always inside. Byte for byte in doc/image-format.md.
 */
#ifndef IMSAFE_CORE_IMAGE_H
#define IMSAFE_CORE_IMAGE_H

#include "event.h"

#define LENGTH_MIN     2
#define LENGTH_MAX     16
#define LENGTH_DEFAULT 6

/* Costs are in 1/4096 bit. COST_MAX, the bits of a blind guess, is normality 0; one call can cost more, up to COST_LIMIT. */
#define COST_BIT   4096
#define COST_MAX   (ALPHABET_BITS * COST_BIT)
#define COST_LIMIT 0xffff

#define CELL_FREE     0xffffffffU
#define CELL_SEQUENCE 0x8000 /* edge: this context and call are a learned k-sequence */
#define CELL_DEPTH    0x00ff /* header: number of symbols in the context */

struct cell {
	__u32 owner;
	__u32 next;
	__u16 cost;
	__u16 flags;
	__u32 count; /* saturates */
};
_Static_assert(sizeof(struct cell) == 16, "cell layout is a file and kernel interface");

#define IMAGE_MAGIC   0x31474d4953464d49ULL /* "IMFSIMG1", little endian */
#define IMAGE_VERSION 1
#define IMAGE_ROOT    0
#define IMAGE_TAIL    (ALPHABET + 1)
#define IMAGE_CELLS_MAX (1U << 26)

struct image_header {
	__u64 magic;
	__u32 version;
	__u32 cells;    /* in the array that follows, IMAGE_TAIL included */
	__u32 states;
	__u32 edges;
	__u32 fork;     /* state of the context (SYMBOL_FORK), IMAGE_ROOT if never learned */
	__u32 exec;     /* state of the context (SYMBOL_EXEC), IMAGE_ROOT if never learned */
	__u16 length;   /* sequence length k */
	__u16 arch;     /* enum syscall_arch */
	__u16 origins;  /* bit per enum event_origin: foreign classes that the profile learned as normal (JIT) */
	__u16 abis;     /* bit per enum event_abi, likewise */
	__u64 calls;    /* learned from */
	__u64 checksum; /* of the cells */
	__u64 reserved;
};
_Static_assert(sizeof(struct image_header) == 64, "image header layout is a file interface");

/* An image in memory. Owned by whoever made it; immutable, so any number of threads may score against it. */
struct image {
	const struct image_header *header;
	const struct cell *cells;
};

#endif
