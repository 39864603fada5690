/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing compact traces. Events are collected until a block is full; then its distinct templates and threads are found,
 * the columns laid out one after the other and compressed as one frame, each column ending a block inside the frame, so that each
 * has statistics of its own.
 */
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "trace/compact.h"
#include "trace/format.h"
#include "trace/header.h"

#define LEVEL      1
#define SLOTS      (COMPACT_EVENTS_MAX * 2)
#define COLUMNS    (COLUMNS_KNOWN - 1)

/* Distinct pairs of numbers, in order of first appearance. */
struct dictionary {
	uint32_t *slots; /* SLOTS of them: index + 1, 0 = free */
	uint64_t *a;
	uint32_t *b;
	uint32_t n;
};

struct compact_out {
	struct event *events;  /* of the block being collected */
	uint32_t n;
	uint32_t provisional;  /* so many of them stand in the file already, as a block at block_at */
	uint64_t block_at;
	unsigned modules, modules_before; /* next to be written; and the same at the beginning of this block */
	uint64_t total;
	struct dictionary templates, threads;
	uint16_t *picks, *turns;
	uint32_t *starts;      /* of each thread's picks */
	int64_t *leaps;
	char *raw, *stored;
	size_t raw_allocated, stored_allocated;
	size_t ends[COLUMNS];  /* of the columns, in raw */
	ZSTD_CCtx *zstd;
};

/* Enters a column of so many bytes, ending at end, into the block's table; columns come in order of their ids. */
static char *column(struct compact_out *out, unsigned id, unsigned width, size_t bytes, char *end)
{
	char *entry = out->raw + sizeof(struct compact_events) + (id - 1) * sizeof(struct compact_column);

	put_u32(put_u16(put_u16(entry, (uint16_t)id), (uint16_t)width), (uint32_t)bytes);
	out->ends[id - 1] = (size_t)(end - out->raw);
	return end;
}

static uint32_t dictionary_add(struct dictionary *dictionary, uint64_t a, uint32_t b)
{
	uint64_t hash = (a ^ (uint64_t)b << 32 ^ b) * 0x9e3779b97f4a7c15ULL;
	uint32_t i = (uint32_t)(hash >> 40) & (SLOTS - 1), at;

	while ((at = dictionary->slots[i])) {
		if (dictionary->a[at - 1] == a && dictionary->b[at - 1] == b)
			return at - 1;
		i = (i + 1) & (SLOTS - 1);
	}
	at = dictionary->n++;
	dictionary->slots[i] = at + 1;
	dictionary->a[at] = a;
	dictionary->b[at] = b;
	return at;
}

static bool dictionary_init(struct dictionary *dictionary)
{
	dictionary->slots = malloc(SLOTS * sizeof(*dictionary->slots));
	dictionary->a = malloc(COMPACT_EVENTS_MAX * sizeof(*dictionary->a));
	dictionary->b = malloc(COMPACT_EVENTS_MAX * sizeof(*dictionary->b));
	return dictionary->slots && dictionary->a && dictionary->b;
}

static void dictionary_clear(struct dictionary *dictionary)
{
	memset(dictionary->slots, 0, SLOTS * sizeof(*dictionary->slots));
	dictionary->n = 0;
}

static void dictionary_done(struct dictionary *dictionary)
{
	free(dictionary->slots);
	free(dictionary->a);
	free(dictionary->b);
}

/* The event without thread and time, as two numbers; what its kind does not have, or nothing explains, becomes 0. */
static void template_of(const struct event *event, unsigned modules, uint64_t *ret_payload, uint32_t *ret_rest)
{
	uint64_t payload = 0;
	uint32_t rest = (uint32_t)event->kind << 16;

	switch (event->kind) {
	case EVENT_CALL:
		payload = SITE_MODULE(event->site) < modules ? event->site : 0;
		rest |= event->call | (uint32_t)event->origin << 24;
		break;
	case EVENT_GAP:
		payload = event->lost;
		break;
	case EVENT_FORK:
	case EVENT_EXEC:
		payload = event->parent;
		/* fall through */
	case EVENT_ATTACH:
		payload |= (uint64_t)event->pid << 32;
		break;
	default:
		break;
	}
	*ret_payload = payload;
	*ret_rest = rest;
}

/* Finds templates and threads, and where each thread's picks begin. */
static void divide(struct trace_writer *writer)
{
	struct compact_out *out = writer->state;
	unsigned modules = writer->modules ? writer->modules->n : 1;
	uint32_t sum = 0, pick = 0, turn = 0;

	dictionary_clear(&out->templates);
	dictionary_clear(&out->threads);
	memset(out->starts, 0, COMPACT_EVENTS_MAX * sizeof(*out->starts));
	for (uint32_t i = 0; i < out->n; i++) {
		const struct event *event = &out->events[i];
		uint64_t payload;
		uint32_t rest;

		template_of(event, modules, &payload, &rest);
		pick = dictionary_add(&out->templates, payload, rest);
		if (!i || event->tid != event[-1].tid)
			turn = dictionary_add(&out->threads, event->tid, 0);
		out->picks[i] = (uint16_t)pick;
		out->turns[i] = (uint16_t)turn;
		out->starts[turn]++;
	}
	for (uint32_t i = 0; i < out->threads.n; i++) {
		uint32_t count = out->starts[i];

		out->starts[i] = sum;
		sum += count;
	}
}

static char *put_templates(struct compact_out *out, char *at)
{
	const struct dictionary *templates = &out->templates;

	for (uint32_t i = 0; i < templates->n; i++)
		at = put_u64(at, templates->a[i]);
	column(out, COLUMN_PAYLOADS, 0, 8 * (size_t)templates->n, at);
	for (uint32_t i = 0; i < templates->n; i++)
		at = put_u16(at, (uint16_t)templates->b[i]);
	column(out, COLUMN_CALLS, 0, 2 * (size_t)templates->n, at);
	for (uint32_t i = 0; i < templates->n; i++)
		*at++ = (char)(templates->b[i] >> 16 & 0xff);
	column(out, COLUMN_KINDS, 0, templates->n, at);
	for (uint32_t i = 0; i < templates->n; i++)
		*at++ = (char)(templates->b[i] >> 24);
	column(out, COLUMN_ORIGINS, 0, templates->n, at);
	for (uint32_t i = 0; i < out->threads.n; i++)
		at = put_u32(at, (uint32_t)out->threads.a[i]);
	return column(out, COLUMN_TIDS, 0, 4 * (size_t)out->threads.n, at);
}

/* Each thread's picks stand together. */
static char *put_picks(struct compact_out *out, char *at)
{
	bool wide = out->templates.n > 256;
	char *high = at + out->n, *end = wide ? high + out->n : high;

	for (uint32_t i = 0; i < out->n; i++) {
		uint32_t place = out->starts[out->turns[i]]++;

		at[place] = (char)(out->picks[i] & 0xff);
		if (wide)
			high[place] = (char)(out->picks[i] >> 8);
	}
	return column(out, COLUMN_PICKS, wide ? 2 : 1, (size_t)(end - at), end);
}

static char *put_turns(struct compact_out *out, char *at)
{
	bool wide = out->threads.n > 256;
	char *high = at + out->n, *end = wide ? high + out->n : high;

	if (out->threads.n == 1)
		return column(out, COLUMN_TURNS, 0, 0, at);
	for (uint32_t i = 0; i < out->n; i++) {
		at[i] = (char)(out->turns[i] & 0xff);
		if (wide)
			high[i] = (char)(out->turns[i] >> 8);
	}
	return column(out, COLUMN_TURNS, wide ? 2 : 1, (size_t)(end - at), end);
}

static char *put_delays(struct compact_out *out, char *at)
{
	uint64_t before = out->events[0].time / COMPACT_TICK, any = 0;
	char *low = at, *high = at + out->n;
	uint32_t leaps = 0;

	for (uint32_t i = 0; i < out->n; i++) {
		uint64_t time = out->events[i].time / COMPACT_TICK, delay = time - before;

		any |= delay;
		before = time;
		if (delay >= COMPACT_LEAP) {
			out->leaps[leaps++] = (int64_t)delay;
			delay = COMPACT_LEAP;
		}
		low[i] = (char)(delay & 0xff);
		high[i] = (char)(delay >> 8);
	}
	if (any)
		at = high + out->n;
	column(out, COLUMN_DELAYS, 0, any ? 2 * (size_t)out->n : 0, at);
	for (uint32_t i = 0; i < leaps; i++)
		at = put_u64(at, (uint64_t)out->leaps[i]);
	return column(out, COLUMN_LEAPS, 0, 8 * (size_t)leaps, at);
}

static int raw_reserve(struct compact_out *out, size_t size)
{
	char *raw;

	if (size <= out->raw_allocated)
		return 0;
	raw = realloc(out->raw, size);
	if (!raw)
		return -ENOMEM;
	out->raw = raw;
	out->raw_allocated = size;
	return 0;
}

/* The modules that have come since the last block. */
static int put_modules(struct trace_writer *writer, char **at)
{
	struct compact_out *out = writer->state;
	size_t before = (size_t)(*at - out->raw), n = before;

	while (writer->modules && out->modules < writer->modules->n) {
		_cleanup_free_ char *line = header_module(modules_get(writer->modules, out->modules));
		size_t length = line ? strlen(line) : 0;
		int r = line ? raw_reserve(out, n + length + 1) : -ENOMEM;

		if (r >= 0 && n + length + 1 > COMPACT_RAW_MAX)
			r = -E2BIG;
		if (r < 0)
			return r;
		memcpy(out->raw + n, line, length);
		n += length;
		out->raw[n++] = '\n';
		out->modules++;
	}
	*at = column(out, COLUMN_MODULES, 0, n - before, out->raw + n);
	return 0;
}

/* Compresses raw[0..n) into stored, with a header before it. Returns the whole size. */
static ssize_t pack(struct compact_out *out, uint32_t kind, uint32_t events, size_t n)
{
	unsigned columns = kind == COMPACT_EVENTS ? COLUMNS : 0;
	size_t bound = COMPACT_BLOCK_HEADER + ZSTD_compressBound(n) + 64 * (columns + 1);
	ZSTD_inBuffer in = { out->raw, 0, 0 };
	ZSTD_outBuffer to;
	char *at;

	if (out->stored_allocated < bound) {
		char *stored = realloc(out->stored, bound);

		if (!stored)
			return -ENOMEM;
		out->stored = stored;
		out->stored_allocated = bound;
	}
	to = (ZSTD_outBuffer){ out->stored + COMPACT_BLOCK_HEADER, bound - COMPACT_BLOCK_HEADER, 0 };
	ZSTD_CCtx_reset(out->zstd, ZSTD_reset_session_only);
	if (ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(out->zstd, n)))
		return -EIO;
	for (unsigned i = 0; i <= columns; i++) {
		bool last = i == columns;

		in.size = last ? n : out->ends[i];
		/* Columns without much to say share a block. */
		if (!last && in.size - in.pos < 2048)
			continue;
		if (ZSTD_compressStream2(out->zstd, &to, &in, last ? ZSTD_e_end : ZSTD_e_flush) != 0)
			return -EIO;
	}
	at = put_u32(out->stored, kind);
	at = put_u32(at, (uint32_t)to.pos);
	at = put_u32(at, (uint32_t)n);
	put_u32(at, events);
	return (ssize_t)(COMPACT_BLOCK_HEADER + to.pos);
}

/* Writes one packed block; whole or, after an error, not at all. */
static int write_block(struct trace_writer *writer, uint32_t kind, uint32_t events, size_t n, struct errmsg *err)
{
	struct compact_out *out = writer->state;
	ssize_t size = pack(out, kind, events, n);

	if (size < 0)
		return errmsg_errno(err, (int)size, writer->output.name, "cannot compress it");
	return output_write_whole(&writer->output, out->stored, (size_t)size, err);
}

static int write_events(struct trace_writer *writer, struct errmsg *err)
{
	struct compact_out *out = writer->state;
	size_t columns = sizeof(struct compact_events) + COLUMNS * sizeof(struct compact_column);
	/* Per event at most a template, a thread, a pick, a turn, a delay and a leap. */
	int r = raw_reserve(out, columns + (size_t)out->n * (12 + 4 + 2 + 2 + 2 + 8));
	char *at;

	if (r >= 0) {
		divide(writer);
		at = put_templates(out, out->raw + columns);
		at = put_picks(out, at);
		at = put_turns(out, at);
		at = put_delays(out, at);
		r = put_modules(writer, &at);
	}
	if (r < 0)
		return errmsg_errno(err, r, writer->output.name, "cannot write it");
	put_u32(put_u32(out->raw, COMPACT_EVENTS), out->n);
	put_u32(put_u32(out->raw + 8, out->templates.n), out->threads.n);
	put_u64(out->raw + 16, out->events[0].time / COMPACT_TICK);
	put_u32(put_u32(out->raw + 24, COLUMNS), 0);
	return write_block(writer, COMPACT_EVENTS, out->n, (size_t)(at - out->raw), err);
}

/* There is no room for the block that grew: what stood in its place comes back, for that there was some. */
static void put_back(struct trace_writer *writer)
{
	struct compact_out *out = writer->state;
	int failed = writer->output.failed;
	struct errmsg ignored;

	writer->output.failed = 0;
	out->n = out->provisional;
	out->modules = out->modules_before;
	if (output_rewind(&writer->output, out->block_at, &ignored) >= 0)
		write_events(writer, &ignored);
	writer->output.failed = failed;
}

/* Brings the collected events into the file; final: they are done with, else the block may still grow. */
static int write_collected(struct trace_writer *writer, bool final, struct errmsg *err)
{
	struct compact_out *out = writer->state;
	int r;

	if (!out->n)
		return 0;
	if (out->provisional) {
		out->modules = out->modules_before;
		r = output_rewind(&writer->output, out->block_at, err);
		if (r < 0)
			return r;
	}
	out->block_at = output_offset(&writer->output);
	r = write_events(writer, err);
	if (r < 0) {
		if (out->provisional)
			put_back(writer);
		out->provisional = 0;
		return r;
	}
	out->provisional = !final && output_can_rewind(&writer->output) ? out->n : 0;
	if (!out->provisional) {
		out->n = 0;
		out->modules_before = out->modules;
	}
	return 0;
}

static int add_line(void *data, const char *keyword, const char *text, struct errmsg *err)
{
	struct compact_out *out = data;
	size_t n = strlen(keyword) + strlen(text) + 2, at = out->ends[0];
	int r = at + n > COMPACT_RAW_MAX ? -E2BIG : raw_reserve(out, at + n + 1);

	if (r < 0)
		return errmsg_errno(err, r, NULL, "cannot write the trace");
	snprintf(out->raw + at, n + 1, "%s %s\n", keyword, text);
	out->ends[0] += n;
	return 0;
}

static int compact_open(struct trace_writer *writer, struct errmsg *err)
{
	struct compact_out *out = writer->state;
	char header[COMPACT_FILE_HEADER], tick[16];
	int r;

	out->events = malloc(COMPACT_EVENTS_MAX * sizeof(*out->events));
	out->picks = malloc(COMPACT_EVENTS_MAX * sizeof(*out->picks));
	out->turns = malloc(COMPACT_EVENTS_MAX * sizeof(*out->turns));
	out->starts = malloc(COMPACT_EVENTS_MAX * sizeof(*out->starts));
	out->leaps = malloc(COMPACT_EVENTS_MAX * sizeof(*out->leaps));
	out->zstd = ZSTD_createCCtx();
	if (!out->events || !out->picks || !out->turns || !out->starts || !out->leaps || !out->zstd ||
	    !dictionary_init(&out->templates) || !dictionary_init(&out->threads) || raw_reserve(out, 4096) < 0)
		return errmsg_errno(err, -ENOMEM, writer->output.name, "cannot write it");
	ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_checksumFlag, 1);
	out->modules = out->modules_before = 1;

	memcpy(header, COMPACT_MAGIC, COMPACT_MAGIC_SIZE);
	put_u32(header + COMPACT_MAGIC_SIZE, COMPACT_VERSION);
	r = output_write(&writer->output, header, sizeof(header), err);
	put_u32(put_u32(out->raw, COMPACT_INFO), 0);
	out->ends[0] = 8;
	snprintf(tick, sizeof(tick), "%d", COMPACT_TICK);
	if (r >= 0)
		r = add_line(out, "tick", tick, err);
	if (r >= 0)
		r = header_write(&writer->info, add_line, out, err);
	return r < 0 ? r : write_block(writer, COMPACT_INFO, 0, out->ends[0], err);
}

static int compact_write(struct trace_writer *writer, const struct event *events, size_t n, struct errmsg *err)
{
	struct compact_out *out = writer->state;

	for (size_t i = 0; i < n; i++) {
		if (events[i].kind >= EVENT_KINDS || EVENT_ORIGIN(events[i].origin) >= ORIGIN_KINDS ||
		    EVENT_ABI(events[i].origin) >= ABI_KINDS || events[i].origin >= 64)
			return errmsg_set(err, -EINVAL, writer->output.name, 0, "an event of unknown kind %u or origin %u",
					  events[i].kind, events[i].origin);
		if (out->n == COMPACT_EVENTS_MAX) {
			int r = write_collected(writer, true, err);

			if (r < 0)
				return r;
		}
		out->events[out->n++] = events[i];
		out->total++;
	}
	return 0;
}

static int compact_flush(struct trace_writer *writer, bool last, struct errmsg *err)
{
	struct compact_out *out = writer->state;
	int r = write_collected(writer, last, err);

	if (r < 0 || !last)
		return r;
	put_u64(put_u32(put_u32(out->raw, COMPACT_END), 0), out->total);
	return write_block(writer, COMPACT_END, 0, 16, err);
}

static void compact_close(struct trace_writer *writer)
{
	struct compact_out *out = writer->state;

	dictionary_done(&out->templates);
	dictionary_done(&out->threads);
	ZSTD_freeCCtx(out->zstd);
	free(out->events);
	free(out->picks);
	free(out->turns);
	free(out->starts);
	free(out->leaps);
	free(out->raw);
	free(out->stored);
}

const struct writer_ops compact_writer = {
	.state_size = sizeof(struct compact_out),
	.open = compact_open,
	.write = compact_write,
	.flush = compact_flush,
	.close = compact_close,
};
