/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images from outside: what image_check() lets through, score_step() can walk wherever it likes. */
#include <stdlib.h>
#include <string.h>

#include "core/score.h"
#include "model/freeze.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_header *copy = malloc(size ? size : 1);
	struct expectation expected[4];
	struct errmsg err;
	struct image image;

	memcpy(copy, data, size);
	/* The checksum keeps out accidents, not intent. */
	if (size >= sizeof(*copy) && copy->cells <= (size - sizeof(*copy)) / sizeof(struct cell))
		copy->checksum = image_checksum((const struct cell *)(copy + 1), copy->cells);
	if (image_check(copy, size, "image", &image, &err) == 0) {
		struct policy policy = { .window = { { 32, 9000 } }, .min_calls = 16, .foreign = 1 };
		struct score score = { 0 };

		policy_arm(&policy, image.header, 1);
		for (unsigned i = 0; i < 4096; i++) {
			struct event event = { .call = (uint16_t)(i * 2654435761U >> 20 & 0x1ff), .origin = (uint8_t)(i >> 8) };

			event.kind = i % 97 ? EVENT_CALL : i % EVENT_KINDS;
			score_step(&score, &image, &policy, &event);
			if (i % 64 == 0)
				image_expected(&image, score.node, expected, 4);
		}
		for (uint32_t node = 0; node < image.header->cells; node++) {
			struct verdict verdict;

			if (image.cells[node].owner != node)
				continue;
			for (unsigned symbol = 0; symbol < ALPHABET; symbol += 37) {
				uint32_t at = node;

				score_predict(&at, &image, symbol, &verdict);
				if (image.cells[at].owner != at)
					abort();
			}
		}
	}
	free(copy);
	return 0;
}
