/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of a compact trace's events block: the input is compressed into a well-formed file, so that it gets past zstd. */
#include <zstd.h>

#include "fuzz-trace.h"
#include "trace/compact.h"

static size_t add_block(uint8_t *to, uint32_t kind, const void *raw, size_t size, size_t room)
{
	static ZSTD_CCtx *zstd;
	uint8_t *at = to;
	size_t n;

	if (!zstd) {
		zstd = ZSTD_createCCtx();
		fuzz_demand(zstd && !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1)));
	}
	n = ZSTD_compress2(zstd, to + COMPACT_BLOCK_HEADER, room, raw, size);
	fuzz_demand(!ZSTD_isError(n));
	at = put_u32(at, kind);
	at = put_u32(at, (uint32_t)n);
	at = put_u32(at, (uint32_t)size);
	put_u32(at, kind == COMPACT_EVENTS ? get_u32((const char *)raw + 4) : 0);
	return COMPACT_BLOCK_HEADER + n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[4 << 20], raw[1 << 20];
	uint8_t info[8 + 10];
	size_t n = COMPACT_FILE_HEADER;

	if (size < 8 || size > sizeof(raw))
		return 0;
	memcpy(raw, data, size);
	put_u32(raw, COMPACT_EVENTS);
	put_u32(put_u32(info, COMPACT_INFO), 0);
	memcpy(info + 8, "tick 1000\n", 10);
	memcpy(file, COMPACT_MAGIC, COMPACT_MAGIC_SIZE);
	put_u32(file + COMPACT_MAGIC_SIZE, COMPACT_VERSION);
	n += add_block(file + n, COMPACT_INFO, info, sizeof(info), 4096);
	n += add_block(file + n, COMPACT_EVENTS, raw, size, 2 << 20);
	/* Twice: what the first block left behind must not matter. No end block: an error after all events. */
	n += add_block(file + n, COMPACT_EVENTS, raw, size, 2 << 20);
	fuzz_read(fuzz_file(file, n), TRACE_AUTO, NULL, 0, 64);
	fuzz_read(fuzz_file(file, n), TRACE_AUTO, NULL, 0, 1);
	return 0;
}
