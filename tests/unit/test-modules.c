/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module table, and build-ids of real, damaged and hostile ELF files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "trace/modules.h"
#include "../tap.h"

static char path[] = "/tmp/imsafe-test-modules-XXXXXX";

static size_t read_self(char *data, size_t size)
{
	FILE *f = fopen("/proc/self/exe", "re");
	size_t n = f ? fread(data, 1, size, f) : 0;

	if (f)
		fclose(f);
	return n;
}

static void write_file(const char *data, size_t n)
{
	FILE *f = fopen(path, "we");

	if (!f || fwrite(data, 1, n, f) != n)
		abort();
	fclose(f);
}

int main(void)
{
	static char data[1 << 16], copy[1 << 16];
	struct modules modules;
	char hex[41] = "untouched", id[41] = "";
	size_t n;
	int fd, r, failures = 0;

	modules_init(&modules);
	ok(modules_add(&modules, "/bin/a", "abcd", 1, 2) == 1 && modules_add(&modules, "/bin/b", NULL, 0, 0) == 2 &&
	   modules_add(&modules, "/bin/a", "abcd", 1, 2) == 1 && modules_add(&modules, "/bin/a", "ef", 1, 2) == 3,
	   "the same file has one index, a changed one another");
	ok(!modules_get(&modules, 0) && !modules_get(&modules, 4) && !strcmp(modules_get(&modules, 3)->build_id, "ef"),
	   "by index");
	modules_done(&modules);
	ok(modules.n == 1 && !modules_get(&modules, 1), "done empties the table");

	r = build_id_read("/proc/self/exe", id);
	if (r == -ENODATA)
		printf("# this build has no build-id\n");
	else
		ok(r == 0 && strlen(id) >= 16 && strspn(id, "0123456789abcdef") == strlen(id), "build-id %s of a program", id);
	fd = mkstemp(path);
	ok(fd >= 0, "temporary file");
	ok(build_id_read(path, hex) == -ENODATA && !strcmp(hex, "untouched"), "an empty file has none");
	ok(build_id_read("/", hex) == -ENODATA && build_id_read("/dev/zero", hex) == -ENODATA &&
	   build_id_read("/nonexistent", hex) == -ENOENT, "neither has a folder, a device, nor what is not there");

	n = read_self(data, sizeof(data));
	for (size_t cut = 0; cut < 1200; cut += 7) {
		write_file(data, cut);
		r = build_id_read(path, hex);
		failures += r < 0;
	}
	ok(failures > 0, "truncated programs are survived");
	srand(1);
	for (int i = 0; i < 2000; i++) {
		memcpy(copy, data, n);
		for (int k = 0; k < 8; k++)
			copy[rand() % 1024] = (char)rand();
		memcpy(copy, "\177ELF", 4);
		write_file(copy, n < 4096 ? n : 4096);
		build_id_read(path, hex);
	}
	ok(true, "and damaged ones");
	close(fd);
	unlink(path);
	return tap_done();
}
