/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packed counts and sessions, below their compression: the first byte says which, and the sequence length. */
#include <stdlib.h>
#include <zstd.h>

#include "model/freeze.h"
#include "model/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct counts counts = { 0 };
	struct image image;
	struct errmsg err;
	uint16_t *symbols;
	size_t bound, n;
	void *packed;

	if (size < 2)
		return 0;
	bound = ZSTD_compressBound(size - 1);
	packed = malloc(bound);
	n = ZSTD_compress(packed, bound, data + 1, size - 1, 1);
	if (*data >= LENGTH_MIN && *data <= LENGTH_MAX) {
		counts.length = *data;
		/* Totals as small inputs have them, so that some agree. */
		for (counts.calls = 1; counts.calls < 24; counts.calls++) {
			counts.sessions = counts.calls < 3 ? counts.calls : 3;
			if (unpack_counts(packed, n, &counts) == 0) {
				if (counts_check(&counts) < 0 || freeze(&counts, ARCH_X86_64, &image, &err) < 0)
					abort();
				image_free(&image);
				counts_done(&counts);
			}
		}
	} else if (unpack_session(packed, n, &symbols, &n) == 0) {
		struct session session = { .symbols = symbols, .n = n };

		if (session_check(&session) < 0)
			abort();
		free(symbols);
	}
	free(packed);
	return 0;
}
