/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text traces: what is read, what is refused and how, and that whatever is written is read back as it was. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "trace/trace.h"
#include "../tap.h"
#include "random-events.h"

static char path[64];
static struct event got[4096];
static size_t n_got;
static struct errmsg err;
static struct trace_info info;
static char application[256], last_module[256];

static void write_file(const char *data, size_t n)
{
	FILE *f = fopen(path, "we");

	if (!f || fwrite(data, 1, n, f) != n)
		abort();
	fclose(f);
}

/* Reads the file at path in reads of the given size into got; the last result. */
static ssize_t read_back(enum trace_format format, size_t batch)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	const struct modules *modules;
	ssize_t r;

	n_got = 0;
	memset(&err, 0, sizeof(err));
	r = trace_reader_open(path, format, &reader, &err);
	if (r < 0)
		return r;
	while (n_got < ARRAY_SIZE(got)) {
		r = trace_reader_read(reader, got + n_got, MIN(batch, ARRAY_SIZE(got) - n_got), &err);
		if (r <= 0)
			break;
		n_got += (size_t)r;
	}
	info = *trace_reader_info(reader);
	snprintf(application, sizeof(application), "%s", info.application ? info.application : "");
	modules = trace_reader_modules(reader);
	snprintf(last_module, sizeof(last_module), "%s", modules->n > 1 ? modules->module[modules->n - 1].path : "");
	return r;
}

static ssize_t read_text(const char *text)
{
	write_file(text, strlen(text));
	return read_back(TRACE_AUTO, 7);
}

static bool is_call(size_t i, unsigned tid, unsigned call)
{
	return i < n_got && got[i].kind == EVENT_CALL && got[i].tid == tid && got[i].call == call;
}

static void test_reading(void)
{
	ok(read_text("1 909 45\n2 909 5\n") == 0 && n_got == 2 && is_call(0, 909, 45) && is_call(1, 909, 5) &&
	   info.arch == ARCH_UNKNOWN && info.format == TRACE_TEXT, "a trace of the year 2000");
	ok(read_text("# a comment\n\n  1\t909  45  \r\n# fork of something\n 12345678 4194304 511\r\n"
		     "99999999999999999999999999 1 1\n") == -EINVAL && n_got == 2 && is_call(1, 4194304, 511) && err.line == 6,
	   "other spacing, comments; a number without end is refused: %s", err.text);
	ok(read_text("1 1 1\n18446744073709551616 1 1\n") == -EINVAL && n_got == 1 && err.line == 2 &&
	   read_text("1 1 1\n18446744073709551615 1 1\n") == 0 && n_got == 2 &&
	   read_text("1 1 1\n00000000000000000000001 1 1\n") == 0 && n_got == 2, "whatever stands around it, up to 64 bits");
	for (unsigned digits = 1; digits <= 20; digits++) {
		char text[64];

		snprintf(text, sizeof(text), "%.*s 909 45\n 909 45\n", (int)digits, "12345678901234567890");
		ok(read_text(text) == -EINVAL && n_got == 1 && err.line == 2, "a line that lost its number, behind one of %u digits", digits);
	}
	ok(read_text("18446744073709551615 4294967295 65535") == 0 && is_call(0, 4294967295U, 65535),
	   "the largest numbers, no newline at the end");
	ok(read_text("1 909 45\n2 909\n") == -EINVAL && err.line == 2 && n_got == 1, "a missing field: %s", err.text);
	ok(read_text("1 909 45 3\n") == 0 && info.format == TRACE_ADFA, "four numbers are no text trace");
	ok(read_text("1 909 45\n2 909 45 3\n") == -EINVAL && err.line == 2, "nor are they in the middle of one: %s", err.text);
	ok(read_text("1 909 45\n2 909 65536\n") == -EINVAL && err.line == 2, "a call too large: %s", err.text);
	ok(read_text("1 909 45\n2 4294967296 4\n") == -EINVAL && err.line == 2, "a thread too large: %s", err.text);
	ok(read_text("1 909 45\n2 -1 4\n") == -EINVAL && read_text("1 909 45\n2 9 0x4\n") == -EINVAL &&
	   read_text("1 909 45\n2,9,4\n") == -EINVAL && read_text("1 909 45\nx\n") == -EINVAL, "what is no number");
	ok(read_text("") == -ENODATA, "an empty file: %s", err.text);
	ok(read_text("# nothing\n") == 0 && n_got == 0, "comments alone");
	ok(read_text("#: arch i386") == 0 && n_got == 0 && info.arch == ARCH_I386 && read_text("# nothing\n \t") == 0 &&
	   read_text("#: arch i386\n#: fork 9") == 0 && n_got == 1, "nor a newline at the end, with a header");
	ok(read_text("#: imsafe-trace 1") == -EBADMSG && err.line == 1 && read_text("#: imsafe-trace 1\n#: arch i3") < 0 && err.line == 2 &&
	   read_text("#: imsafe-trace 1\n# for peo") == -EBADMSG && err.line == 2 &&
	   read_text("#: imsafe-trace 1\n#: fork 9") == -EBADMSG && err.line == 2, "a header that is cut off: %s", err.text);
	ok(read_text("Dear reader,\n") == -EINVAL && err.line == 1, "prose: %s", err.text);
	write_file("SQLite format 3\0...", 19);
	ok(read_back(TRACE_AUTO, 7) == -EINVAL, "a profile: %s", err.text);
	ok(read_text("\xef\xbb\xbf" "1 909 45\n") == -EINVAL && strstr(err.text, "byte order mark"), "a byte order mark: %s", err.text);
	write_file("\xff\xfe" "1\0 \0", 6);
	ok(read_back(TRACE_AUTO, 7) == -EINVAL && strstr(err.text, "iconv"), "UTF-16: %s", err.text);
	write_file("\0\1\2\3", 4);
	ok(read_back(TRACE_AUTO, 7) == -EINVAL, "binary: %s", err.text);
}

static void test_directives(void)
{
	ok(read_text("#: imsafe-trace 1\n#: arch i386\n#: application /bin/a\\x0ab\\x5cc d\n#: build-id 00ff\n"
		     "#: start 2000-02-29T12:00:01Z\n#: sensor ptrace\n#: future thing 3\n#: attach 909 pid 908\n1 909 45\n"
		     "#: fork 910 parent 909 pid 910\n2 910 3\n#: exec 910 was 911 pid 910\n#: gap 910 lost 17\n#: gap all\n"
		     "#: exit 910\n") == 0 && n_got == 8, "all kinds of events");
	ok(info.arch == ARCH_I386 && !strcmp(application, "/bin/a\nb\\c d") && info.start == 951825601, "the header");
	ok(got[0].kind == EVENT_ATTACH && got[0].tid == 909 && got[0].pid == 908 && !got[0].parent && is_call(1, 909, 45) &&
	   got[2].kind == EVENT_FORK && got[2].parent == 909 && got[2].pid == 910 && got[4].kind == EVENT_EXEC &&
	   got[4].parent == 911 && got[5].kind == EVENT_GAP && got[5].lost == 17 && got[5].tid == 910 &&
	   got[6].kind == EVENT_GAP && !got[6].tid && !got[6].lost && got[7].kind == EVENT_EXIT, "each as it was");
	ok(read_text("#: module 1 00ff /lib/a b.so\n1 9 1\n#: from stack at 0x7ffd12345678\n2 9 2\n3 9 3\n"
		     "#: from file compat at 1+0x1f\n4 9 4\n#: from file\n5 9 5\n") == 0 && n_got == 5 && !got[0].origin &&
	   got[1].origin == ORIGIN_STACK && got[1].site == 0x7ffd12345678 && got[2].origin == ORIGIN_STACK && !got[2].site &&
	   got[3].origin == EVENT_FROM(ORIGIN_FILE, ABI_COMPAT) && got[3].site == SITE(1, 0x1f) &&
	   got[4].origin == ORIGIN_FILE && !got[4].site, "origins hold on, sites do not");
	ok(read_text("#: time 12.5\n1 9 1\n#: time 13\n2 9 1\n") == 0 && got[0].time == 12500000000 && got[1].time == 13000000000,
	   "times");
	ok(read_text("#: time 18446744073.709551615\n1 9 1\n") == 0 && got[0].time == UINT64_MAX &&
	   read_text("#: time 18446744073.709551616\n1 9 1\n") == -EINVAL && read_text("#: time 18446744074\n1 9 1\n") == -EINVAL,
	   "to the last one that there is");

	static const char *const wrong[] = {
		"#: imsafe-trace x\n", "#: arch vax\n", "#: application\n", "#: application a\\x00\n", "#: application a\\q\n",
		"#: build-id xyz\n", "#: start yesterday\n", "#: start 2001-02-29T00:00:00Z\n", "#: start 2001-2-9T00:00:00Z\n", "#: gap\n", "#: gap x\n", "#: gap 1 lost\n", "#: fork 1 was 2\n",
		"#: attach 1 parent 2\n", "#: exit 1 pid 2\n", "#: module 2 - /a\n", "#: module 1 - \n", "#: module 1 zz /a\n",
		"#: from\n", "#: from moon\n", "#: from file moon\n", "#: from file at\n", "#: from file at 1+0x1\n",
		"#: from file at 0x1234567890abc\n", "#: time 1.1234567890\n", "#: time -1\n", "#: time 99999999999999\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (read_text(wrong[i]) != -EINVAL || err.line != 1)
			ok(false, "'%.*s' is refused (%s)", (int)strlen(wrong[i]) - 1, wrong[i], err.text);
	ok(true, "malformed '#:' lines are refused, with their line");
	for (size_t n = 4096; n <= 4097; n++) {
		static char text[3][8192];

		snprintf(text[0], sizeof(text[0]), "#: application %0*d\n", (int)n, 7);
		snprintf(text[1], sizeof(text[1]), "#: sensor %0*d\n", (int)n, 7);
		snprintf(text[2], sizeof(text[2]), "#: module 1 - %0*d\n", (int)n, 7);
		for (int i = 0; i < 3; i++)
			if (read_text(text[i]) != (n > 4096 ? -EINVAL : 0))
				ok(false, "a text of %zu bytes: %s", n, err.text);
	}
	ok(true, "texts have at most 4096 bytes: %s", err.text);
	ok(read_text("#: arch i386\n1 909 45\n#: application /x\n") == -EINVAL && err.line == 3 && n_got == 1,
	   "a second header: %s", err.text);
	ok(read_text("#: imsafe-trace 1\n#: imsafe-trace 1\n#: arch i386\n#: arch i386\n1 9 45\n1 7 3\n") == -EINVAL && err.line == 2,
	   "two traces, line by line: %s", err.text);
	ok(read_text("#: imsafe-trace 2\n") == -EPROTONOSUPPORT, "a newer version: %s", err.text);
	ok(read_text("#: imsafe-trace 1\n1 909 45\n2 909 4") == -EBADMSG && n_got == 1 && err.line == 3,
	   "a last line cut short is not taken for a call: %s", err.text);
}

static void test_round_trip(void)
{
	static struct event events[4000];
	struct modules modules;
	struct trace_info in = { .arch = ARCH_AARCH64, .application = " /tmp/\x1b[31m n\xc3\xa9\n\\x  ", .build_id = "0123456789abcdef",
				 .sensor = "replay", .start = 1700000000 };
	bool same = true;

	modules_init(&modules);
	modules_add(&modules, "/lib/\xff\n libc.so", "00ff", 1, 2);
	modules_add(&modules, "/lib/no id", NULL, 1, 3);
	modules_add(&modules, "/lib/ends in a space ", NULL, 1, 4);
	for (int round = 0; round < 60; round++) {
		_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL;
		uint64_t time = 5000000000;
		size_t n = random_next() % ARRAY_SIZE(events);

		for (size_t i = 0; i < n; i++)
			events[i] = random_event(&time, false, modules.n);
		same &= trace_writer_open(path, TRACE_TEXT, &in, &modules, &writer, &err) == 0;
		for (size_t i = 0, part; i < n; i += part) {
			part = random_next() % 100 + 1;
			part = MIN(part, n - i);
			same &= trace_writer_write(writer, events + i, part, &err) == 0;
		}
		same &= trace_writer_finish(writer, &err) == 0;
		same &= read_back(TRACE_AUTO, random_next() % 300 + 1) == 0 && n_got == n && !memcmp(got, events, n * sizeof(*got));
		same &= !*last_module || !strcmp(last_module, "/lib/ends in a space ");
		same &= info.arch == in.arch && info.start == in.start && !strcmp(application, in.application);
		if (!same) {
			size_t i = 0;

			while (i < n && !memcmp(&got[i], &events[i], sizeof(*got)))
				i++;
			printf("# round %d: %zu of %zu read, the first different is %zu: %s\n", round, n_got, n, i, err.text);
			break;
		}
	}
	ok(same, "random events are read as they were written");
	modules_done(&modules);
}

static void test_writing(void)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL, *second = NULL;
	struct event event = { .tid = 3, .call = 4 };
	char part[80];
	int fd;

	snprintf(part, sizeof(part), "%s.part", path);
	unlink(path);
	ok(trace_writer_open(path, TRACE_AUTO, NULL, NULL, &writer, &err) == 0 && access(path, F_OK) < 0 &&
	   access(part, F_OK) == 0, "a recording begins beside its name");
	ok(trace_writer_open(path, TRACE_AUTO, NULL, NULL, &second, &err) == -EBUSY && access(part, F_OK) == 0,
	   "only one at a time: %s", err.text);
	trace_writer_write(writer, &event, 1, &err);
	trace_writer_flush(writer, &err);
	writer = trace_writer_close(writer);
	ok(access(path, F_OK) < 0 && access(part, F_OK) == 0, "given up, what was recorded stays in the .part file");
	ok(trace_writer_open(path, TRACE_AUTO, NULL, NULL, &writer, &err) == 0, "which the next recording replaces");
	writer = trace_writer_close(writer);
	ok(access(path, F_OK) < 0 && access(part, F_OK) < 0, "nothing recorded, nothing left");
	ok(symlink("target", part) == 0 && trace_writer_open(path, TRACE_AUTO, NULL, NULL, &writer, &err) == -EPERM &&
	   unlink(part) == 0, "a link in the way: %s", err.text);
	ok(mkfifo(part, 0600) == 0 && trace_writer_open(path, TRACE_AUTO, NULL, NULL, &writer, &err) == -EPERM &&
	   unlink(part) == 0, "a pipe in the way: %s", err.text);
	fd = open(part, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ok(fd >= 0 && link(part, path) == 0 && trace_writer_open(path, TRACE_AUTO, NULL, NULL, &writer, &err) == -EPERM &&
	   unlink(part) == 0 && unlink(path) == 0, "another file of two names: %s", err.text);
	close(fd);
	ok(trace_writer_open("/nonexistent/x", TRACE_TEXT, NULL, NULL, &writer, &err) == -ENOENT, "no folder: %s", err.text);
	ok(trace_writer_open(path, TRACE_UNM, NULL, NULL, &writer, &err) == -ENOTSUP, "import only: %s", err.text);

	if (access("/dev/full", W_OK) == 0) {
		ok(trace_writer_open("/dev/full", TRACE_TEXT, NULL, NULL, &writer, &err) == 0 &&
		   trace_writer_write(writer, &event, 1, &err) == 0 && trace_writer_finish(writer, &err) == -ENOSPC,
		   "a full disk: %s: %s", err.file, err.text);
		writer = trace_writer_close(writer);
	}
}

/* What a running recording has sent so far is there at once; nothing waits for more. */
static void test_pipe(enum trace_format format)
{
	_cleanup_(trace_writer_closep) struct trace_writer *writer = NULL;
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	struct event event = { .tid = 3, .call = 4 };
	char name[32];
	int fds[2];
	bool good = pipe2(fds, O_CLOEXEC) == 0;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fds[1]);
	good &= trace_writer_open(name, format, NULL, NULL, &writer, &err) == 0;
	close(fds[1]);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fds[0]);
	for (int i = 0; good && i < 5; i++) {
		event.call = (__u16)i;
		good &= trace_writer_write(writer, &event, 1, &err) == 0 && trace_writer_flush(writer, &err) == 0;
		if (!i)
			good &= trace_reader_open(name, TRACE_AUTO, &reader, &err) == 0;
		good &= trace_reader_read(reader, got, 100, &err) == 1 && got[0].call == i;
	}
	good &= trace_writer_finish(writer, &err) == 0;
	writer = trace_writer_close(writer);
	ok(good && trace_reader_read(reader, got, 100, &err) == 0, "%s through a pipe, event by event", trace_format_name(format));
	close(fds[0]);
}

int main(void)
{
	const char *folder = temporary_folder();

	snprintf(path, sizeof(path), "%s/trace", folder);
	test_reading();
	test_directives();
	test_round_trip();
	test_writing();
	alarm(20); /* instead of waiting for ever */
	test_pipe(TRACE_TEXT);
	test_pipe(TRACE_COMPACT);
	unlink(path);
	rmdir(folder);
	return tap_done();
}
