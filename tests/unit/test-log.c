/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor log: what is written is read back, wrong lines are named, anything else is not believed. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "alarm/log.h"
#include "../tap.h"

static char path[] = "/tmp/imsafe-test-log-XXXXXX";

static void write_text(const char *text, size_t n)
{
	FILE *file = fopen(path, "we");

	if (!file || fwrite(text, 1, n, file) != n)
		abort();
	fclose(file);
}

static void test_round_trip(void)
{
	struct log_info info = { .application = "/usr/bin/evil\nname", .profile = "a.db", .arch = ARCH_X86_64, .detector = "predictor",
				 .means = { 32, 128 }, .thresholds = { 61.25, 70 }, .start = 1764157000 };
	struct policy policy = { .window = { { 32, COST_MAX / 4 } } };
	struct alarm alarm = { .sequence = 3, .tid = 909, .flags = VERDICT_ALARM, .mean = { COST_MAX / 2 } };
	struct event gap = { .kind = EVENT_GAP, .tid = 7, .lost = 1200 };
	_cleanup_(log_writer_closep) struct log_writer *writer = NULL;
	_cleanup_(log_reader_closep) struct log_reader *reader = NULL;
	struct log_record record;
	struct errmsg err = { 0 };
	bool same = true;

	ok(log_writer_open(path, &info, &writer, &err) == 0, "a log is begun");
	for (uint64_t i = 1; i <= 50000; i++) {
		struct scored_call call = { .event = { .tid = (uint32_t)(i * 77), .call = (uint16_t)(i % 400) },
					    .verdict = { .cost = (uint16_t)(i % (COST_MAX + 1)) }, .mean = (uint32_t)(i % COST_MAX) };

		log_writer_call(writer, i, &call);
		if (i == 3)
			log_writer_alarm(writer, &alarm, &policy, 2, 1);
	}
	log_writer_gap(writer, 50000, &gap);
	log_writer_closed(writer, 50000, 909);
	ok(log_writer_flush(writer, &err) == 0, "and written");

	ok(log_reader_open(path, &reader, &err) == 0, "it is read");
	for (uint64_t i = 1; i <= 50000; i++) {
		same &= log_reader_next(reader, &record, &err) == 1 && record.kind == LOG_CALL && record.sequence == i &&
			record.pid == (uint32_t)(i * 77) && record.call == i % 400 &&
			record.normality == score_normality((uint32_t)(i % (COST_MAX + 1))) &&
			record.mean == score_normality((uint32_t)(i % COST_MAX));
		if (i == 3)
			same &= log_reader_next(reader, &record, &err) == 1 && record.kind == LOG_ALARM && record.sequence == 3 &&
				record.pid == 909 && record.mean == 5000;
	}
	ok(same, "every call and the alarm are what they were");
	ok(log_reader_next(reader, &record, &err) == 1 && record.kind == LOG_GAP && record.pid == 7 && record.lost == 1200, "the gap");
	ok(log_reader_next(reader, &record, &err) == 1 && record.kind == LOG_CLOSED && record.pid == 909, "the episode's end");
	ok(log_reader_next(reader, &record, &err) == 0, "the end");
	ok(log_reader_info(reader)->means[1] == 128 && log_reader_info(reader)->thresholds[0] == 61.25 &&
	   log_reader_info(reader)->arch == ARCH_X86_64 && log_reader_info(reader)->start == info.start, "the head's numbers");
	ok(!strcmp(log_reader_info(reader)->application, "/usr/bin/evil\\x0aname"), "and its text, escaped");
}

/* A file that may not grow further, as on a full disk. */
static void test_cut(void)
{
	struct rlimit before, limit;
	struct log_info info = { .profile = "a.db" };
	struct scored_call call = { .event = { .tid = 909, .call = 45 } };
	_cleanup_(log_writer_closep) struct log_writer *writer = NULL;
	_cleanup_(log_reader_closep) struct log_reader *reader = NULL;
	struct log_record record;
	struct errmsg err = { 0 };
	uint64_t n = 0;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = (struct rlimit){ 100000, before.rlim_max };
	setrlimit(RLIMIT_FSIZE, &limit);
	ok(log_writer_open(path, &info, &writer, &err) == 0, "a log on a small disk");
	for (uint64_t i = 1; i <= 10000; i++)
		log_writer_call(writer, i, &call);
	ok(log_writer_flush(writer, &err) == -EFBIG, "the disk is full: %s", err.text);
	setrlimit(RLIMIT_FSIZE, &before);
	ok(log_reader_open(path, &reader, &err) == 0, "it is read");
	while (log_reader_next(reader, &record, &err) == 1)
		n++;
	ok(n > 2000 && !err.line, "and is whole lines: %llu calls", (unsigned long long)n);
}

/* Reads everything; the line that is blamed, 0 if none is. */
static unsigned long blamed(const char *text, size_t n)
{
	_cleanup_(log_reader_closep) struct log_reader *reader = NULL;
	struct log_record record;
	struct errmsg err = { 0 };
	int r;

	write_text(text, n);
	if (log_reader_open(path, &reader, &err) < 0)
		abort();
	while ((r = log_reader_next(reader, &record, &err)) > 0)
		;
	return r < 0 ? err.line : 0;
}

#define BLAMED(text) blamed(text, sizeof(text) - 1)

static void test_bad(void)
{
	static char huge[300000];

	ok(BLAMED("1 909 45 100.00 97.5\n2 909 6 0 100\r\n\n# any comment\n3 909 6 0.1 99.99") == 0, "what is right is read");
	ok(BLAMED("1 909 45 100.00 97.5\nhello\n") == 2, "a word");
	ok(BLAMED("1 909 45 100.00\n") == 1, "a missing number");
	ok(BLAMED("1 909 45 100.00 97 3\n") == 1, "one too many");
	ok(BLAMED("\n\n1 909 45 101 97\n") == 3, "more than 100 percent");
	ok(BLAMED("1 4294967296 45 1 97\n") == 1, "a pid that is too large");
	ok(BLAMED("99999999999999999999 1 45 1 97\n") == 1, "a sequence number that is too large");
	ok(BLAMED("-1 1 45 1 97\n") == 1, "a negative number");
	ok(BLAMED("1 1 4\0 1 97\n") == 1, "a zero byte");
	ok(BLAMED("# alarm\n# gap x\n# threshold: 900\n# mean: 99999\n") == 0, "comments are never wrong");
	memset(huge, '1', sizeof(huge));
	ok(blamed(huge, sizeof(huge)) == 1, "an endless line");
	ok(BLAMED("") == 0, "nothing");
}

/* Lines may end as elsewhere, and say more than is known here. */
static void test_comments(void)
{
	static const char text[] = "# imsafe monitor log 1\r\n# application: /bin/a b\r\n# arch: x86_64\r\n# detector: sequences for short\r\n"
				   "# mean: 8 4\r\n# threshold: 60.00 30.00 of 100\r\n# start: 2026-01-01T00:00:00Z (UTC)\r\n"
				   "# min-calls: 12\r\n1 9 45 100.00 97.5\r\n# gap 1 9 3\r\n";
	_cleanup_(log_reader_closep) struct log_reader *reader = NULL;
	const struct log_info *info;
	struct log_record record;
	struct errmsg err = { 0 };

	write_text(text, sizeof(text) - 1);
	ok(log_reader_open(path, &reader, &err) == 0 && log_reader_next(reader, &record, &err) == 1 && record.kind == LOG_CALL,
	   "a log whose lines end with a carriage return");
	info = log_reader_info(reader);
	ok(info->arch == ARCH_X86_64 && info->detector && !strcmp(info->detector, "sequences") && info->means[1] == 4 &&
	   info->thresholds[1] == 30 && !info->means[2] && info->start == 1767225600 && info->min_calls == 12, "says all it says");
	ok(info->application && !strcmp(info->application, "/bin/a b"), "texts go to the end of their line");
	ok(log_reader_next(reader, &record, &err) == 1 && record.kind == LOG_GAP && record.lost == 3 &&
	   log_reader_next(reader, &record, &err) == 0, "and its gap");
}

static void test_full(void)
{
	struct log_info info = { .means = { 8 }, .thresholds = { 50 } };
	_cleanup_(log_writer_closep) struct log_writer *writer = NULL;
	struct errmsg err = { 0 };

	if (log_writer_open("/dev/full", &info, &writer, &err) < 0) {
		ok(true, "# SKIP no /dev/full");
		return;
	}
	ok(log_writer_flush(writer, &err) == -ENOSPC && !strcmp(err.file, "/dev/full"), "a full disk is told");
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	test_round_trip();
	test_cut();
	test_bad();
	test_comments();
	test_full();
	unlink(path);
	return tap_done();
}
