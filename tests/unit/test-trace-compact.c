/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compact traces: what is written is read back; what is cut off or damaged is noticed, and the whole blocks are read. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <zstd.h>

#include "trace/compact.h"
#include "trace/trace.h"
#include "../tap.h"
#include "random-events.h"

enum { EVENTS_MAX = 300000 };

static char path[64];
static struct event events[EVENTS_MAX], got[EVENTS_MAX + 1];
static size_t n_got;
static struct errmsg err;
static struct trace_info info;

static ssize_t read_back(size_t batch)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	ssize_t r;

	n_got = 0;
	memset(&err, 0, sizeof(err));
	r = trace_reader_open(path, TRACE_AUTO, &reader, &err);
	if (r < 0)
		return r;
	while ((r = trace_reader_read(reader, got + n_got, MIN(batch, ARRAY_SIZE(got) - n_got), &err)) > 0)
		n_got += (size_t)r;
	info = *trace_reader_info(reader);
	return r;
}

static bool same(size_t n)
{
	size_t i = 0;

	while (i < n && i < n_got && !memcmp(&got[i], &events[i], sizeof(got[i])))
		i++;
	if (i < n || n_got != n)
		printf("# %zu of %zu events read, the first different one is %zu: %s\n", n_got, n, i, err.text);
	return i == n && n_got == n;
}

/* Writes n events with flushes at random (every one in flushes) and closes without finishing unless finish. */
static bool write_events(size_t n, unsigned flushes, bool finish, struct modules *modules)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL;
	struct trace_info in = { .arch = ARCH_X86_64, .application = "/usr/sbin/\n\\ftpd", .sensor = "ebpf", .start = 1234567890,
				 .build_id = "00ff" };
	bool good = trace_writer_open(path, TRACE_COMPACT, &in, modules, &writer, &err) == 0;
	uint64_t time = 1000000;

	for (size_t i = 0, part; good && i < n; i += part) {
		char name[32];

		if (modules && random_next() % 20 == 0) {
			snprintf(name, sizeof(name), "/lib/%u \xff.so", modules->n);
			modules_add(modules, name, modules->n % 2 ? "0123" : NULL, 0, 0);
		}
		part = random_next() % 5000 + 1;
		part = MIN(part, n - i);
		for (size_t k = i; k < i + part; k++)
			events[k] = random_event(&time, true, modules ? modules->n : 1);
		good &= trace_writer_write(writer, events + i, part, &err) == 0;
		if (flushes && random_next() % flushes == 0)
			good &= trace_writer_flush(writer, &err) == 0;
	}
	if (good && finish)
		good = trace_writer_finish(writer, &err) == 0;
	else if (good)
		good = trace_writer_flush(writer, &err) == 0;
	return good;
}

static void test_round_trip(void)
{
	static const size_t sizes[] = { 0, 1, 2, 255, 1000, 65535, 65536, 65537, 200000, EVENTS_MAX };
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned flushes = 0; flushes < 8; flushes += 3) {
			struct modules modules;

			modules_init(&modules);
			good &= write_events(sizes[i], flushes, true, &modules) && read_back(random_next() % 5000 + 1) == 0 && same(sizes[i]);
			good &= info.arch == ARCH_X86_64 && info.start == 1234567890 && info.format == TRACE_COMPACT;
			modules_done(&modules);
		}
	}
	ok(good, "random events are read as they were written, however often they were flushed");
}

static void test_many(void)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL;
	bool good = trace_writer_open(path, TRACE_COMPACT, NULL, NULL, &writer, &err) == 0;

	for (size_t i = 0; i < 140000; i++)
		events[i] = (struct event){ .tid = (__u32)(i % 40000), .site = i % 50000, .call = (__u16)(i % 400) };
	good &= trace_writer_write(writer, events, 140000, &err) == 0 && trace_writer_finish(writer, &err) == 0;
	ok(good && read_back(4096) == 0 && same(140000), "tens of thousands of threads and sites");
}

static void test_unfinished(void)
{
	char part[80];

	snprintf(part, sizeof(part), "%s.part", path);
	ok(write_events(100000, 10, false, NULL) && rename(part, path) == 0 && read_back(4096) == -EBADMSG && same(100000),
	   "a recording that was killed can be read to its last flush: %s", err.text);
}

static size_t slurp(char **ret_data)
{
	FILE *f = fopen(path, "re");
	size_t n, size = 1 << 24;
	char *data = malloc(size);

	if (!f || !data)
		abort();
	n = fread(data, 1, size, f);
	fclose(f);
	*ret_data = data;
	return n;
}

static void spill(const char *data, size_t n)
{
	FILE *f = fopen(path, "we");

	if (!f || fwrite(data, 1, n, f) != n)
		abort();
	fclose(f);
}

static void test_damage(void)
{
	_cleanup_free_ char *data = NULL;
	bool good = write_events(70000, 0, true, NULL), whole = true;
	size_t n = slurp(&data), blocks = 0, noticed = 0;

	for (size_t cut = 0; cut < n; cut += cut < 400 ? 1 : 3001) {
		ssize_t r;

		spill(data, cut);
		r = read_back(70001);
		good &= r < 0 && *err.text;
		whole &= n_got == 0 || n_got == 65536 || n_got == 70000;
		whole &= !memcmp(got, events, n_got * sizeof(*got));
		blocks += n_got > 0;
	}
	ok(good, "every truncation is noticed: %s", err.text);
	ok(whole && blocks, "and gives the whole blocks before it");
	free(TAKE_PTR(data));

	good = write_events(300, 0, true, NULL);
	n = slurp(&data);
	for (size_t bit = 0; bit < n * 8; bit += 1 + random_next() % 5) {
		ssize_t r;

		data[bit / 8] ^= (char)(1 << bit % 8);
		spill(data, n);
		r = read_back(4096);
		/* Some bits of a compressed frame change nothing: the checksum is that of what was compressed. */
		if (r > 0 || (r == 0 && !same(300))) {
			good = false;
			printf("# bit %zu of byte %zu\n", bit % 8, bit / 8);
		}
		noticed += r < 0;
		data[bit / 8] ^= (char)(1 << bit % 8);
	}
	ok(good && noticed > n, "a single bit that is flipped is noticed, or makes no difference");
	spill(data, n);
	ok(read_back(4096) == 0, "unharmed, the same file is read");
	memcpy(data + COMPACT_FILE_HEADER + 8, "\xff\xff\xff\xff", 4);
	spill(data, n);
	ok(read_back(4096) == -EBADMSG, "a hostile size: %s", err.text);
	data[COMPACT_MAGIC_SIZE] = 2;
	spill(data, n);
	ok(read_back(4096) == -EPROTONOSUPPORT, "a newer version: %s", err.text);
}

/* Appends a block of these bytes, however odd, with right checksums. */
static char *put_block(char *at, uint32_t kind, uint32_t count, const void *body, size_t n)
{
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	char raw[4096];
	size_t stored;

	put_u32(put_u32(raw, kind), count);
	memcpy(raw + 8, body, n);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
	stored = ZSTD_compress2(zstd, at + COMPACT_BLOCK_HEADER, 4096, raw, n + 8);
	ZSTD_freeCCtx(zstd);
	put_u32(put_u32(put_u32(put_u32(at, kind), (uint32_t)stored), (uint32_t)n + 8), count);
	return at + COMPACT_BLOCK_HEADER + stored;
}

/* A trace of one call by thread 7. */
static ssize_t read_odd(const char *information, uint32_t other_kind, uint32_t other_count, unsigned wide_column)
{
	static const uint32_t bytes[] = { 8, 2, 1, 1, 4, 1 };
	char file[16384], block[256] = "", *at = file, *column = block;
	char *columns = block + sizeof(struct compact_events) - 8;

	at = (char *)memcpy(at, COMPACT_MAGIC, COMPACT_MAGIC_SIZE) + COMPACT_MAGIC_SIZE;
	at = put_u32(at, COMPACT_VERSION);
	at = put_block(at, COMPACT_INFO, 0, information, strlen(information));
	if (other_kind)
		at = put_block(at, other_kind, other_count, "ABC", 3);
	put_u32(put_u32(block, 1), 1);                   /* templates, threads */
	put_u32(block + 16, ARRAY_SIZE(bytes));
	column = columns + ARRAY_SIZE(bytes) * sizeof(struct compact_column);
	for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++) {
		bool width = i + 1 == COLUMN_PICKS || i + 1 == wide_column;

		put_u32(put_u16(put_u16(columns + 8 * i, (uint16_t)(i + 1)), width), bytes[i]);
		if (i + 1 == COLUMN_CALLS)
			*column = 42;
		if (i + 1 == COLUMN_TIDS)
			*column = 7;
		column += bytes[i];
	}
	at = put_block(at, COMPACT_EVENTS, 1, block, (size_t)(column - block));
	at = put_block(at, COMPACT_END, 0, (char[]){ 1, 0, 0, 0, 0, 0, 0, 0 }, 8);
	spill(file, (size_t)(at - file));
	return read_back(64);
}

static void test_odd(void)
{
	static const char *const refused[] = {
		"start 2000-02-30T00:00:00Z\n", "start 2000-1-1T0:0:0Z\n", "start 2000-01-01T00:00:60Z\n", "start 2000-01-01T00:00:00\n",
		"tick 0\n", "tick 1000000001\n", "tick\n", "arch\n", "arch vax\n", "build-id x\n", "arch x86_64",
	};
	bool good = true;

	ok(read_odd("arch x86_64\nfuture x\nstart 2000-02-29T00:00:01Z\n", 0, 0, 0) == 0 && n_got == 1 && got[0].tid == 7 &&
	   got[0].call == 42 && info.start == 951782401, "the smallest trace by hand: %s", err.text);
	ok(read_odd("", 0x71424d49, 0, 0) == 0 && n_got == 1, "a block of an unknown kind is skipped: %s", err.text);
	ok(read_odd("", 0x71424d49, 1, 0) == -EBADMSG && n_got == 0, "but none outside an events block has events: %s", err.text);
	for (unsigned column = 1; column < COLUMN_PICKS; column++)
		good &= read_odd("", 0, 0, column) == -EBADMSG;
	ok(good, "a column without entries of its own width that has one: %s", err.text);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (read_odd(refused[i], 0, 0, 0) != -EBADMSG)
			ok(false, "'%.*s' is refused", (int)strcspn(refused[i], "\n"), refused[i]);
	ok(true, "malformed information is refused: %s", err.text);
}

static void test_writing(void)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL;
	struct event event = { .tid = 1, .kind = EVENT_KINDS };
	int fds[2];

	ok(trace_writer_open(path, TRACE_COMPACT, NULL, NULL, &writer, &err) == 0 &&
	   trace_writer_write(writer, &event, 1, &err) == -EINVAL, "no event: %s", err.text);
	writer = trace_writer_close(writer);
	event = (struct event){ .tid = 1, .call = 2, .site = SITE(7, 3) };
	ok(trace_writer_open(path, TRACE_COMPACT, NULL, NULL, &writer, &err) == 0 &&
	   trace_writer_write(writer, &event, 1, &err) == 0 && trace_writer_finish(writer, &err) == 0 && read_back(1) == 0 &&
	   n_got == 1 && !got[0].site, "a site of a module that nobody knows is not written");
	writer = trace_writer_close(writer);
	if (access("/dev/full", W_OK) == 0) {
		ok(trace_writer_open("/dev/full", TRACE_COMPACT, NULL, NULL, &writer, &err) == -ENOSPC ||
		   trace_writer_finish(writer, &err) == -ENOSPC, "a full disk: %s", err.text);
		writer = trace_writer_close(writer);
	}
	if (pipe2(fds, O_CLOEXEC) == 0) {
		char name[32];

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fds[1]);
		signal(SIGPIPE, SIG_IGN);
		ok(trace_writer_open(name, TRACE_COMPACT, NULL, NULL, &writer, &err) == 0, "a pipe");
		close(fds[0]);
		close(fds[1]);
		trace_writer_write(writer, &event, 1, &err);
		ok(trace_writer_finish(writer, &err) == -EPIPE, "whose reader goes away: %s", err.text);
	}
}

/* No more room: an error, nothing under the name, and what was written before can be read. */
static void test_no_room(void)
{
	struct rlimit before, limit;
	char part[80];
	size_t n = 4 * 65536;

	snprintf(part, sizeof(part), "%s.part", path);
	unlink(path);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = (struct rlimit){ 1200000, before.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	ok(!write_events(n, 0, true, NULL) && access(path, F_OK) < 0, "no room for a trace: %s", err.text);
	setrlimit(RLIMIT_FSIZE, &before);
	ok(rename(part, path) == 0 && read_back(4096) == -EBADMSG && n_got && n_got % 65536 == 0 &&
	   !memcmp(got, events, n_got * sizeof(*got)), "what was written before is whole: %s", err.text);
}

/* Nor for a block that grew, which is written where it stood: what had been flushed is not lost for that. */
static void test_no_room_to_grow(void)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL;
	struct rlimit before, limit;
	uint64_t time = 1000000;
	char part[80];
	bool good;

	snprintf(part, sizeof(part), "%s.part", path);
	for (size_t i = 0; i < 50000; i++)
		events[i] = random_event(&time, true, 1);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = (struct rlimit){ 100000, before.rlim_max };
	setrlimit(RLIMIT_FSIZE, &limit);
	good = trace_writer_open(path, TRACE_COMPACT, NULL, NULL, &writer, &err) == 0;
	for (size_t i = 0; good && i < 1500; i += 500)
		good = trace_writer_write(writer, events + i, 500, &err) == 0 && trace_writer_flush(writer, &err) == 0;
	ok(good && trace_writer_write(writer, events + 1500, 48500, &err) == 0 && trace_writer_flush(writer, &err) == -EFBIG,
	   "no room for a block that grew: %s", err.text);
	ok(trace_writer_flush(writer, &err) == -EFBIG && trace_writer_finish(writer, &err) == -EFBIG, "nor later");
	writer = trace_writer_close(writer);
	setrlimit(RLIMIT_FSIZE, &before);
	ok(rename(part, path) == 0 && read_back(4096) == -EBADMSG && same(1500), "what was flushed before is there: %s", err.text);
}

int main(void)
{
	const char *folder = temporary_folder();

	snprintf(path, sizeof(path), "%s/trace.imt", folder);
	test_round_trip();
	test_many();
	test_unfinished();
	test_damage();
	test_odd();
	test_writing();
	test_no_room();
	test_no_room_to_grow();
	unlink(path);
	rmdir(folder);
	return tap_done();
}
