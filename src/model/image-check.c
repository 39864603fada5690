/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images that were not made just now: checking them, and looking into them. */
#include "model/freeze.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

uint64_t image_checksum(const struct cell *cells, uint32_t n)
{
	uint64_t sum = n;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t words[2];

		memcpy(words, &cells[i], sizeof(words));
		for (int k = 0; k < 2; k++) {
			sum = (sum ^ words[k]) * 0x9e3779b97f4a7c15ULL;
			sum ^= sum >> 32;
		}
	}
	return sum;
}

static bool is_header(const struct image *image, uint32_t index)
{
	return index < image->header->cells && image->cells[index].owner == index;
}

/* Whether score_step() may be in this state: all cells that it can look at from here are inside. */
static bool is_state(const struct image *image, uint32_t index)
{
	return is_header(image, index) && image->header->cells - index >= IMAGE_TAIL;
}

static unsigned depth_of(const struct image *image, uint32_t index)
{
	return image->cells[index].flags;
}

/* What is wrong with a cell, NULL if nothing is. */
static const char *cell_fault(const struct image *image, uint32_t index)
{
	const struct cell *cell = &image->cells[index];
	unsigned length = image->header->length;

	if (cell->owner == CELL_FREE)
		return NULL;
	if (cell->owner == index) {
		if (!is_state(image, index))
			return "a state reaches beyond the end";
		if (cell->flags >= length || (!cell->flags) != (index == IMAGE_ROOT))
			return "a state's depth is impossible";
		if (!is_state(image, cell->next))
			return "a suffix link leads nowhere";
		if (index == IMAGE_ROOT ? cell->next != IMAGE_ROOT : depth_of(image, cell->next) >= cell->flags)
			return "suffix links do not lead to the root";
		return NULL;
	}
	if (!is_header(image, cell->owner) || cell->owner > index || index - cell->owner > ALPHABET)
		return "an edge belongs to no state";
	if (!is_state(image, cell->next))
		return "an edge leads nowhere";
	if (cell->flags & ~CELL_SEQUENCE || (cell->flags && depth_of(image, cell->owner) != length - 1) ||
	    depth_of(image, cell->next) > depth_of(image, cell->owner) + 1)
		return "an edge's depth is impossible";
	return NULL;
}

static const char *header_fault(const struct image *image)
{
	const struct image_header *header = image->header;
	const uint16_t origins = (1 << ORIGIN_KINDS) - (1 << ORIGIN_ANON);

	if (header->length < LENGTH_MIN || header->length > LENGTH_MAX)
		return "its sequence length is impossible";
	if (header->arch >= ARCHES)
		return "its architecture is unknown";
	if (header->origins & ~origins || header->abis || header->reserved)
		return "its header is damaged";
	if (image->cells[IMAGE_ROOT].owner != IMAGE_ROOT)
		return "it has no root";
	if (!is_state(image, header->fork) || !is_state(image, header->exec))
		return "its starting states are none";
	for (uint32_t i = header->cells - IMAGE_TAIL; i < header->cells; i++)
		if (image->cells[i].owner != CELL_FREE)
			return "cells at its end are not free";
	return NULL;
}

static const char *image_fault(const struct image *image)
{
	const char *fault = header_fault(image);
	uint32_t states = 0, edges = 0;

	for (uint32_t i = 0; !fault && i < image->header->cells; i++) {
		states += image->cells[i].owner == i;
		edges += image->cells[i].owner != i && image->cells[i].owner != CELL_FREE;
		fault = cell_fault(image, i);
	}
	if (!fault && (states != image->header->states || edges != image->header->edges))
		fault = "its header's counts are wrong";
	return fault;
}

int image_check(const void *data, size_t size, const char *name, struct image *ret_image, struct errmsg *err)
{
	const struct image_header *header = data;
	struct image image = { header, (const struct cell *)((const char *)data + sizeof(*header)) };
	const char *fault;

	if ((uintptr_t)data % _Alignof(struct image_header))
		return errmsg_set(err, -EINVAL, name, 0, "the image is not aligned in memory");
	if (size < sizeof(header->magic) || header->magic != IMAGE_MAGIC)
		return errmsg_set(err, -EBADMSG, name, 0, "this is not an image of a profile");
	if (size < sizeof(*header))
		return errmsg_set(err, -EBADMSG, name, 0, "the image is damaged: it is cut off");
	if (header->version > IMAGE_VERSION)
		return errmsg_set(err, -EPROTONOSUPPORT, name, 0, "the image has version %u; this program knows up to %d",
				  header->version, IMAGE_VERSION);
	if (header->version != IMAGE_VERSION || header->cells <= IMAGE_TAIL || header->cells > IMAGE_CELLS_MAX ||
	    (size - sizeof(*header)) / sizeof(struct cell) != header->cells || (size - sizeof(*header)) % sizeof(struct cell))
		return errmsg_set(err, -EBADMSG, name, 0, "the image is damaged: its size is wrong");
	if (image_checksum(image.cells, header->cells) != header->checksum)
		return errmsg_set(err, -EBADMSG, name, 0, "the image is damaged: its checksum is wrong");
	fault = image_fault(&image);
	if (fault)
		return errmsg_set(err, -EBADMSG, name, 0, "the image is damaged: %s", fault);
	*ret_image = image;
	return 0;
}

static int more_frequent(const void *a, const void *b)
{
	const struct expectation *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return (x->call > y->call) - (x->call < y->call);
}

size_t image_expected(const struct image *image, uint32_t node, struct expectation *expected, size_t n)
{
	struct expectation all[ALPHABET];
	size_t found = 0;

	if (!is_state(image, node))
		return 0;
	for (uint32_t s = 0; s < ALPHABET; s++) {
		const struct cell *cell = &image->cells[node + 1 + s];

		if (cell->owner == node)
			all[found++] = (struct expectation){
				.call = (uint16_t)s,
				.count = cell->count,
				.share = image->cells[node].count ? (double)cell->count / image->cells[node].count : 0,
			};
	}
	qsort(all, found, sizeof(*all), more_frequent);
	n = MIN(n, found);
	memcpy(expected, all, n * sizeof(*all));
	return n;
}
