/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading compact traces. A block is decompressed whole and checked whole, all its numbers included, before its first event
 * is delivered; then each event is a template with a thread and a time.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <zstd.h>

#include "trace/compact.h"
#include "trace/digits.h"
#include "trace/format.h"
#include "trace/header.h"

_Static_assert(offsetof(struct event, origin) + 1 - offsetof(struct event, call) == sizeof(uint32_t), "see struct template");

struct column {
	const unsigned char *data;
	uint32_t bytes, width;
};

struct compact {
	uint64_t tick;
	ZSTD_DCtx *zstd;
	char *raw;           /* the block, decompressed */
	size_t allocated;
	uint32_t n, i;       /* events in it, and delivered */
	struct column columns[COLUMNS_KNOWN];
	uint32_t n_templates, n_threads;
	struct template {
		uint64_t payload;
		uint32_t rest; /* call, kind and origin as they stand in an event */
	} *templates;
	uint32_t templates_allocated, threads_allocated;
	struct thread {
		uint32_t tid, at; /* at: its next pick */
	} *threads;
	uint64_t time;       /* of the event before, in ticks */
	const unsigned char *leap;
	uint64_t offset;     /* of the block in the file */
	uint64_t blocks, events; /* delivered or ready to be */
	bool ended;
};

/* The end of the readable part: what is wrong, where, and what was read. */
__attribute__((format(printf, 4, 5)))
static int bad_block(const struct trace_reader *reader, struct errmsg *err, int error, const char *format, ...)
{
	const struct compact *compact = reader->state;
	char what[160];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return errmsg_set(err, error, reader->input.name, 0,
			  "%s, at byte %llu; the %llu events in the %llu whole blocks before were read", what,
			  (unsigned long long)compact->offset, (unsigned long long)compact->events,
			  (unsigned long long)compact->blocks);
}

/* Allocates for n things, doubling, so that small blocks cost little. */
static int reserve(void **array, uint32_t *allocated, uint32_t n, size_t size)
{
	void *grown;

	if (n <= *allocated)
		return 0;
	n = MAX(n, MIN(*allocated * 2, COMPACT_EVENTS_MAX));
	grown = reallocarray(*array, n, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*allocated = n;
	return 0;
}

/* Reads the table of columns. */
static int find_columns(struct trace_reader *reader, const char *raw, size_t size, struct errmsg *err)
{
	struct compact *compact = reader->state;
	uint32_t n = get_u32(raw + 24);
	size_t at;

	if (n > COLUMNS_MAX || sizeof(struct compact_events) + n * sizeof(struct compact_column) > size)
		return bad_block(reader, err, -EBADMSG, "damaged: %u columns", n);
	at = sizeof(struct compact_events) + n * sizeof(struct compact_column);
	for (unsigned id = 0; id < COLUMNS_KNOWN; id++)
		compact->columns[id] = (struct column){ .data = (const unsigned char *)raw };
	for (uint32_t i = 0, before = 0; i < n; i++) {
		const char *entry = raw + sizeof(struct compact_events) + i * sizeof(struct compact_column);
		uint32_t id = get_u16(entry), bytes = get_u32(entry + 4);

		if (id <= before || bytes > size - at)
			return bad_block(reader, err, -EBADMSG, "damaged: column %u", id);
		if (id >= COLUMN_NO_SKIP)
			return bad_block(reader, err, -EPROTONOSUPPORT, "written by a newer version of ImSafe (column %u)", id);
		if (id < COLUMNS_KNOWN)
			compact->columns[id] = (struct column){ (const unsigned char *)raw + at, bytes, get_u16(entry + 2) };
		if (id < COLUMNS_KNOWN && id != COLUMN_PICKS && id != COLUMN_TURNS && compact->columns[id].width)
			return bad_block(reader, err, -EBADMSG, "damaged: column %u", id);
		at += bytes;
		before = id;
	}
	return at == size ? 0 : bad_block(reader, err, -EBADMSG, "damaged: bytes behind the last column");
}

/* That columns are as long as the counts say. */
static bool columns_fit(const struct compact *compact)
{
	const struct column *c = compact->columns;
	uint32_t n = compact->n, templates = compact->n_templates, threads = compact->n_threads;
	uint32_t picks = templates > 256 ? 2 : 1, turns = threads > 256 ? 2 : threads > 1 ? 1 : 0;

	return templates && templates <= n && threads && threads <= n && c[COLUMN_PAYLOADS].bytes == 8 * templates &&
	       c[COLUMN_CALLS].bytes == 2 * templates && c[COLUMN_KINDS].bytes == templates &&
	       c[COLUMN_ORIGINS].bytes == templates && c[COLUMN_TIDS].bytes == 4 * threads &&
	       c[COLUMN_PICKS].bytes == picks * n && c[COLUMN_PICKS].width == picks && c[COLUMN_TURNS].bytes == turns * n &&
	       c[COLUMN_TURNS].width == turns && (!c[COLUMN_DELAYS].bytes || c[COLUMN_DELAYS].bytes == 2 * n) &&
	       c[COLUMN_LEAPS].bytes % 8 == 0;
}

static uint8_t highest(const unsigned char *bytes, uint32_t n)
{
	typedef uint8_t lanes __attribute__((vector_size(16)));
	lanes most = { 0 }, next, above;
	uint8_t all = 0;
	uint32_t i = 0;

	for (; i + sizeof(next) <= n; i += sizeof(next)) {
		memcpy(&next, bytes + i, sizeof(next));
		above = (lanes)(next > most);
		most = (next & above) | (most & ~above);
	}
	for (; i < n; i++)
		all = MAX(all, bytes[i]);
	for (unsigned k = 0; k < sizeof(most); k++)
		all = MAX(all, most[k]);
	return all;
}

/* Every number of a column of bytes or of low and high bytes is below limit. */
static bool all_below(const struct column *column, uint32_t n, uint32_t limit)
{
	const unsigned char *low = column->data, *high = low + n;

	if (column->width < 2)
		return highest(low, n) < limit;
	if (highest(high, n) < limit >> 8)
		return true;
	for (uint32_t i = 0; i < n; i++)
		if ((low[i] | (uint32_t)high[i] << 8) >= limit)
			return false;
	return true;
}

/* There is a leap for every delay that asks for one; few do. */
static bool leaps_fit(const struct compact *compact)
{
	const struct column *delays = &compact->columns[COLUMN_DELAYS];
	const unsigned char *low = delays->data, *high = low + compact->n, *end = high + compact->n, *at = high;
	uint32_t leaps = 0;

	while (delays->bytes && at < end && (at = memchr(at, 0xff, (size_t)(end - at)))) {
		leaps += low[at - high] == 0xff;
		at++;
	}
	return leaps == compact->columns[COLUMN_LEAPS].bytes / 8;
}

static int read_modules(struct trace_reader *reader, struct errmsg *err)
{
	struct compact *compact = reader->state;
	const struct column *column = &compact->columns[COLUMN_MODULES];
	const char *at = (const char *)column->data, *end = at + column->bytes;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		_cleanup_free_ char *line = NULL;
		int r;

		if (!newline || memchr(at, '\0', (size_t)(newline - at)))
			return bad_block(reader, err, -EBADMSG, "damaged: module %u", reader->modules.n);
		line = strndup(at, (size_t)(newline - at));
		r = line ? header_read_module(&reader->modules, line) : -ENOMEM;
		if (r == -ENOMEM)
			return errmsg_errno(err, r, reader->input.name, "cannot read it");
		if (r < 0)
			return bad_block(reader, err, -EBADMSG, "damaged: module %u", reader->modules.n);
		at = newline + 1;
	}
	return 0;
}

static bool read_templates(struct trace_reader *reader)
{
	struct compact *compact = reader->state;
	const struct column *c = compact->columns;

	for (uint32_t i = 0; i < compact->n_templates; i++) {
		struct event event = {
			.site = get_u64(c[COLUMN_PAYLOADS].data + 8 * (size_t)i),
			.call = get_u16(c[COLUMN_CALLS].data + 2 * (size_t)i),
			.kind = c[COLUMN_KINDS].data[i],
			.origin = c[COLUMN_ORIGINS].data[i],
		};

		if (event.kind >= EVENT_KINDS || event.origin >= 64 || EVENT_ORIGIN(event.origin) >= ORIGIN_KINDS ||
		    EVENT_ABI(event.origin) >= ABI_KINDS)
			return false;
		if (event.kind == EVENT_CALL ? SITE_MODULE(event.site) >= reader->modules.n : event.call || event.origin)
			return false;
		if ((event.kind == EVENT_EXIT && event.site) || (event.kind == EVENT_ATTACH && event.site << 32))
			return false;
		compact->templates[i].payload = event.site;
		memcpy(&compact->templates[i].rest, &event.call, sizeof(compact->templates[i].rest));
	}
	return true;
}

/*
 * Counts each thread's turns; false if one is of no thread. Several counters for bytes, because adding to the same one again
 * and again has to wait for itself.
 */
static bool count_turns(struct compact *compact)
{
	const struct column *column = &compact->columns[COLUMN_TURNS];
	const unsigned char *turns = column->data, *high = turns + compact->n;
	uint32_t counts[4][256] = { { 0 } }, n = compact->n & ~7U;

	if (column->width == 2) {
		if (!all_below(column, compact->n, compact->n_threads))
			return false;
		for (uint32_t i = 0; i < compact->n; i++)
			compact->threads[turns[i] | (uint32_t)high[i] << 8].at++;
		return true;
	}
	for (uint32_t i = 0; i < n; i += 8) {
		uint64_t word = get_u64(turns + i);

		for (int k = 0; k < 8; k++, word >>= 8)
			counts[k % 4][word & 0xff]++;
	}
	for (uint32_t i = n; i < compact->n; i++)
		counts[0][turns[i]]++;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t count = counts[0][i] + counts[1][i] + counts[2][i] + counts[3][i];

		if (i < compact->n_threads)
			compact->threads[i].at = count;
		else if (count)
			return false;
	}
	return true;
}

/* Where each thread's picks begin. */
static bool read_threads(struct compact *compact)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < compact->n_threads; i++)
		compact->threads[i] = (struct thread){ .tid = get_u32(compact->columns[COLUMN_TIDS].data + 4 * (size_t)i) };
	if (compact->n_threads > 1 && !count_turns(compact))
		return false;
	for (uint32_t i = 0; i < compact->n_threads; i++) {
		uint32_t count = compact->threads[i].at;

		compact->threads[i].at = sum;
		sum += count;
	}
	return true;
}

static int open_events(struct trace_reader *reader, uint32_t events, size_t size, struct errmsg *err)
{
	struct compact *compact = reader->state;
	int r;

	if (size < sizeof(struct compact_events) || !events || events > COMPACT_EVENTS_MAX)
		return bad_block(reader, err, -EBADMSG, "damaged: a block of %u events", events);
	compact->n = events;
	compact->n_templates = get_u32(compact->raw + 8);
	compact->n_threads = get_u32(compact->raw + 12);
	compact->time = get_u64(compact->raw + 16);
	r = find_columns(reader, compact->raw, size, err);
	if (r < 0)
		return r;
	if (!columns_fit(compact) || !all_below(&compact->columns[COLUMN_PICKS], events, compact->n_templates) ||
	    !leaps_fit(compact))
		return bad_block(reader, err, -EBADMSG, "damaged: the columns do not fit together");
	r = reserve((void **)&compact->templates, &compact->templates_allocated, compact->n_templates, sizeof(*compact->templates));
	if (r >= 0)
		r = reserve((void **)&compact->threads, &compact->threads_allocated, compact->n_threads, sizeof(*compact->threads));
	if (r < 0)
		return errmsg_errno(err, r, reader->input.name, "cannot read it");
	r = read_modules(reader, err);
	if (r < 0)
		return r;
	if (!read_templates(reader) || !read_threads(compact))
		return bad_block(reader, err, -EBADMSG, "damaged: an event that cannot be");
	compact->leap = compact->columns[COLUMN_LEAPS].data;
	return 0;
}

static int read_info(struct trace_reader *reader, size_t size, struct errmsg *err)
{
	struct compact *compact = reader->state;
	char *at = compact->raw + 8, *end = compact->raw + size;

	compact->tick = COMPACT_TICK;
	if (memchr(at, '\0', (size_t)(end - at)))
		return bad_block(reader, err, -EBADMSG, "damaged: the information block");
	while (at < end) {
		char *newline = memchr(at, '\n', (size_t)(end - at)), *text;
		const char *number;
		int r;

		if (!newline)
			return bad_block(reader, err, -EBADMSG, "damaged: the information block");
		*newline = '\0';
		text = at + strcspn(at, " ");
		if (*text)
			*text++ = '\0';
		number = text;
		r = header_read(&reader->info, at, text);
		if (r == -ENOMEM)
			return errmsg_errno(err, r, reader->input.name, "cannot read it");
		if (r < 0 || (!strcmp(at, "tick") && (!digits_parse(&number, 1000000000, &compact->tick) || !compact->tick || *number)))
			return bad_block(reader, err, -EBADMSG, "damaged: the line '%.32s' in the information block", at);
		at = newline + 1;
	}
	return 0;
}

static int read_end(struct trace_reader *reader, size_t size, struct errmsg *err)
{
	struct compact *compact = reader->state;

	if (size != 16 || get_u64(compact->raw + 8) != compact->events)
		return bad_block(reader, err, -EBADMSG, "damaged: the end block counts other events");
	compact->ended = true;
	return 0;
}

/* Decompresses the frame of stored bytes at input.at into raw. */
static int unpack(struct trace_reader *reader, size_t stored, size_t size, struct errmsg *err)
{
	struct compact *compact = reader->state;
	const char *frame = reader->input.at;
	size_t n;

	if (size > compact->allocated) {
		char *raw = malloc(size);

		if (!raw)
			return errmsg_errno(err, -ENOMEM, reader->input.name, "cannot read it");
		free(compact->raw);
		compact->raw = raw;
		compact->allocated = size;
	}
	/* Bit 2 of a frame's descriptor: it ends with a checksum. */
	if (ZSTD_getFrameContentSize(frame, stored) != size || !(frame[4] & 4) ||
	    ZSTD_findFrameCompressedSize(frame, stored) != stored)
		return bad_block(reader, err, -EBADMSG, "damaged: not a whole frame");
	n = ZSTD_decompressDCtx(compact->zstd, compact->raw, size, frame, stored);
	if (ZSTD_isError(n) || n != size)
		return bad_block(reader, err, -EBADMSG, "damaged: %s", ZSTD_isError(n) ? ZSTD_getErrorName(n) : "too short");
	return 0;
}

/* The next block, into raw. 1; 0 if the input ends where a block could begin. */
static int read_block(struct trace_reader *reader, uint32_t *ret_kind, uint32_t *ret_events, size_t *ret_size,
		      struct errmsg *err)
{
	struct compact *compact = reader->state;
	struct input *input = &reader->input;
	uint32_t kind, stored, size;
	int r;

	compact->offset = input->offset - (uint64_t)(input->end - input->at);
	r = input_need(input, COMPACT_BLOCK_HEADER, err);
	if (r < 0)
		return r;
	if (!r)
		return input->at == input->end ? 0 : bad_block(reader, err, -EBADMSG, "cut off");
	kind = get_u32(input->at);
	stored = get_u32(input->at + 4);
	size = get_u32(input->at + 8);
	*ret_events = get_u32(input->at + 12);
	if (!COMPACT_ANY(kind) || stored < 8 || stored > COMPACT_STORED_MAX || size < 8 || size > COMPACT_RAW_MAX)
		return bad_block(reader, err, -EBADMSG, "damaged: no block begins here");
	r = input_need(input, COMPACT_BLOCK_HEADER + (size_t)stored, err);
	if (r <= 0)
		return r < 0 ? r : bad_block(reader, err, -EBADMSG, "cut off");
	input->at += COMPACT_BLOCK_HEADER;
	r = unpack(reader, stored, size, err);
	if (r < 0)
		return r;
	input->at += stored;
	if (get_u32(compact->raw) != kind || get_u32(compact->raw + 4) != *ret_events || (kind != COMPACT_EVENTS && *ret_events))
		return bad_block(reader, err, -EBADMSG, "damaged: a block's header");
	*ret_kind = kind;
	*ret_size = size;
	return 1;
}

/* The next block with events. 1, 0 behind the end block, or an error. */
static int next_events(struct trace_reader *reader, struct errmsg *err)
{
	struct compact *compact = reader->state;
	int r;

	while (!compact->ended) {
		uint32_t kind, events;
		size_t size;

		r = read_block(reader, &kind, &events, &size, err);
		if (!r)
			return bad_block(reader, err, -EBADMSG, "the recording was not finished (it was killed, or still runs)");
		if (r >= 0 && kind == COMPACT_INFO)
			r = bad_block(reader, err, -EBADMSG, "damaged: a second information block");
		else if (r >= 0 && kind == COMPACT_END)
			r = read_end(reader, size, err);
		else if (r >= 0 && kind == COMPACT_EVENTS)
			r = open_events(reader, events, size, err);
		if (r < 0)
			return r;
		if (kind == COMPACT_EVENTS) {
			compact->i = 0;
			compact->blocks++;
			compact->events += events;
			return 1;
		}
	}
	r = input_need(&reader->input, 1, err);
	return r > 0 ? bad_block(reader, err, -EBADMSG, "damaged: bytes behind the end") : r;
}

/*
 * Delivers events of the block at hand. The flags are constants where this is called, so that each kind of block gets a
 * loop of its own without the questions.
 */
static inline __attribute__((always_inline)) size_t deliver(struct compact *compact, struct event *events, size_t n,
							     bool wide_picks, unsigned turns_width)
{
	const unsigned char *picks = compact->columns[COLUMN_PICKS].data, *picks_high = picks + compact->n;
	const unsigned char *turns = compact->columns[COLUMN_TURNS].data, *turns_high = turns + compact->n;
	const unsigned char *delay = compact->columns[COLUMN_DELAYS].data, *delay_high = delay + compact->n;
	const struct template *templates = compact->templates;
	bool delays = compact->columns[COLUMN_DELAYS].bytes != 0;
	uint64_t time = compact->time, tick = compact->tick;
	uint32_t i = compact->i, last = compact->n - i < n ? compact->n : i + (uint32_t)n;
	struct event *event = events;

	for (; i < last; i++, event++) {
		struct thread *thread = compact->threads;
		uint32_t at = i, pick;

		if (turns_width) {
			thread += turns_width > 1 ? turns[i] | (uint32_t)turns_high[i] << 8 : turns[i];
			at = thread->at++;
		}
		pick = wide_picks ? picks[at] | (uint32_t)picks_high[at] << 8 : picks[at];
		if (delays) {
			uint32_t ticks = delay[i] | (uint32_t)delay_high[i] << 8;

			if (ticks == COMPACT_LEAP) {
				time += get_u64(compact->leap);
				compact->leap += 8;
			} else {
				time += ticks;
			}
		}
		event->time = time * tick;
		event->site = templates[pick].payload;
		event->tid = thread->tid;
		memcpy(&event->call, &templates[pick].rest, sizeof(templates[pick].rest));
	}
	compact->i = i;
	compact->time = time;
	return (size_t)(event - events);
}

static ssize_t compact_read(struct trace_reader *reader, struct event *events, size_t n, struct errmsg *err)
{
	struct compact *compact = reader->state;
	bool wide;

	if (compact->i == compact->n) {
		int r = next_events(reader, err);

		if (r <= 0)
			return r;
	}
	wide = compact->n_templates > 256;
	switch (compact->columns[COLUMN_TURNS].width) {
	case 0:
		return (ssize_t)(wide ? deliver(compact, events, n, true, 0) : deliver(compact, events, n, false, 0));
	case 1:
		return (ssize_t)(wide ? deliver(compact, events, n, true, 1) : deliver(compact, events, n, false, 1));
	default:
		return (ssize_t)(wide ? deliver(compact, events, n, true, 2) : deliver(compact, events, n, false, 2));
	}
}

static int compact_open(struct trace_reader *reader, struct errmsg *err)
{
	struct compact *compact = reader->state;
	struct input *input = &reader->input;
	uint32_t kind, events;
	size_t size;
	int r = input_need(input, COMPACT_FILE_HEADER, err);

	if (r < 0)
		return r;
	if (!r || memcmp(input->at, COMPACT_MAGIC, COMPACT_MAGIC_SIZE))
		return errmsg_set(err, -EINVAL, input->name, 0, "it is not a compact trace");
	if (get_u32(input->at + COMPACT_MAGIC_SIZE) != COMPACT_VERSION)
		return errmsg_set(err, -EPROTONOSUPPORT, input->name, 0,
				  "written by another version of ImSafe (format %u, this one reads %u)",
				  get_u32(input->at + COMPACT_MAGIC_SIZE), COMPACT_VERSION);
	input->at += COMPACT_FILE_HEADER;
	compact->zstd = ZSTD_createDCtx();
	if (!compact->zstd)
		return errmsg_errno(err, -ENOMEM, input->name, "cannot read it");
	r = read_block(reader, &kind, &events, &size, err);
	if (r < 0)
		return r;
	if (!r || kind != COMPACT_INFO)
		return bad_block(reader, err, -EBADMSG, r ? "damaged: no information block" : "cut off");
	return read_info(reader, size, err);
}

static void compact_close(struct trace_reader *reader)
{
	struct compact *compact = reader->state;

	ZSTD_freeDCtx(compact->zstd);
	free(compact->raw);
	free(compact->templates);
	free(compact->threads);
}

const struct reader_ops compact_reader = {
	.state_size = sizeof(struct compact),
	.open = compact_open,
	.read = compact_read,
	.close = compact_close,
};
