/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The compact format's numbers, as doc/trace-formats.md has them. Private to this folder. */
#ifndef IMSAFE_TRACE_COMPACT_H
#define IMSAFE_TRACE_COMPACT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define COMPACT_MAGIC        "\x89IMT\r\n\x1a\n"
#define COMPACT_MAGIC_SIZE   8
#define COMPACT_FILE_HEADER  12 /* magic and version */
#define COMPACT_VERSION      1
#define COMPACT_BLOCK_HEADER 16
#define COMPACT_EVENTS_MAX   65536
#define COMPACT_RAW_MAX      (16U << 20)
#define COMPACT_STORED_MAX   (COMPACT_RAW_MAX + (128U << 10))
#define COMPACT_TICK         1000 /* ns */
#define COMPACT_LEAP         0xffff

/* As little-endian numbers of "IMBi", "IMBe", "IMBz". */
#define COMPACT_INFO   0x69424d49U
#define COMPACT_EVENTS 0x65424d49U
#define COMPACT_END    0x7a424d49U
#define COMPACT_ANY(kind) (((kind) & 0x00ffffffU) == 0x00424d49U)

/* The beginning of an events block, behind kind and events. */
struct compact_events {
	uint32_t kind, events, templates, threads;
	uint64_t time;
	uint32_t columns, reserved;
};
_Static_assert(sizeof(struct compact_events) == 32, "compact_events layout is a file interface");

struct compact_column {
	uint16_t id, width;
	uint32_t bytes;
};
_Static_assert(sizeof(struct compact_column) == 8, "compact_column layout is a file interface");

enum {
	COLUMN_PAYLOADS = 1, COLUMN_CALLS, COLUMN_KINDS, COLUMN_ORIGINS, COLUMN_TIDS, COLUMN_PICKS, COLUMN_TURNS,
	COLUMN_DELAYS, COLUMN_LEAPS, COLUMN_MODULES,
	COLUMNS_KNOWN,
	COLUMN_NO_SKIP = 32768, /* from here on, a column must not be skipped */
};
#define COLUMNS_MAX 1024

static inline uint16_t get_u16(const void *from)
{
	uint16_t value;

	memcpy(&value, from, sizeof(value));
	return le16toh(value);
}

static inline uint32_t get_u32(const void *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return le32toh(value);
}

static inline uint64_t get_u64(const void *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return le64toh(value);
}

static inline void *put_u16(void *to, uint16_t value)
{
	value = htole16(value);
	return (char *)memcpy(to, &value, sizeof(value)) + sizeof(value);
}

static inline void *put_u32(void *to, uint32_t value)
{
	value = htole32(value);
	return (char *)memcpy(to, &value, sizeof(value)) + sizeof(value);
}

static inline void *put_u64(void *to, uint64_t value)
{
	value = htole64(value);
	return (char *)memcpy(to, &value, sizeof(value)) + sizeof(value);
}

#endif
