/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes from outside cannot steer a terminal or forge a line, however it is cut. */
#include "base/errmsg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../tap.h"

static void escapes(const char *text, const char *expected, const char *what)
{
	char buffer[256];

	ok(!strcmp(escape_text(buffer, sizeof(buffer), text), expected), "%s", what);
}

static void test_escape(void)
{
	escapes("plain text, 100 %", "plain text, 100 %", "plain text stays as it is");
	escapes("Gr\xc3\xbc\xc3\x9f" "e \xe2\x80\xba \xf0\x9f\x90\xa7", "Gr\xc3\xbc\xc3\x9f" "e \xe2\x80\xba \xf0\x9f\x90\xa7", "so does UTF-8");
	escapes("a\nb\tc\x1b[2J\x7f", "a\\x0ab\\x09c\\x1b[2J\\x7f", "control characters become visible");
	escapes("a\\x0a", "a\\x5cx0a", "a backslash, too, so that nothing can pretend to be one of them");
	escapes("\xc2\x9b" "31m\xc2\x85", "\\xc2\\x9b31m\\xc2\\x85", "and those of ISO 6429's second set");
	escapes("\xe2\x80\xae" "fdp\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf", "\\xe2\\x80\\xaefdp\\xe2\\x81\\xa6\\xe2\\x80\\x8b\\xef\\xbb\\xbf",
		"characters that turn or hide text");
	escapes("\xe2\x80\xa8\xe2\x80\xa9", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9", "line and paragraph separators");
	escapes("\xff\xc3(\x80\xc0\xaf\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80",
		"\\xff\\xc3(\\x80\\xc0\\xaf\\xe0\\x80\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80", "what is no UTF-8, longer than need be or a surrogate");
	escapes("\xe2\x80", "\\xe2\\x80", "a sequence that ends too early");
}

/* Whatever the size: what is written fits, ends in NUL, and has no half of an escape or of a character. */
static void test_sizes(void)
{
	static const char text[] = "ab\n\xc3\xbc\xe2\x80\xba\x1b" "c", full[] = "ab\\x0a\xc3\xbc\xe2\x80\xba\\x1bc";
	static const size_t whole[] = { 0, 1, 2, 6, 8, 11, 15, 16 }; /* lengths at which nothing is cut in two */

	for (size_t size = 1; size <= sizeof(full) + 1; size++) {
		char buffer[64];
		bool fits = false, same;

		memset(buffer, '#', sizeof(buffer));
		escape_text(buffer, size, text);
		for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
			fits |= strlen(buffer) == whole[i];
		same = !strncmp(buffer, full, strlen(buffer));
		ok(strlen(buffer) < size && buffer[size] == '#' && fits && same, "%zu bytes: '%s'", size, buffer);
	}
}

static void test_message(void)
{
	struct errmsg err;
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	ok(errmsg_set(NULL, -EINVAL, "file", 1, "text") == -EINVAL, "nobody has to want the message");
	ok(errmsg_set(&err, -EINVAL, "a\nb", 7, "bad %s", "\x1b[1m") == -EINVAL, "the error is handed through");
	errmsg_print(&err, out, "imsafe test");
	errmsg_errno(&err, -ENOENT, NULL, "cannot open it");
	errmsg_print(&err, out, "imsafe test");
	fclose(out);
	ok(!strcmp(line, "imsafe test: a\\x0ab:7: bad \\x1b[1m\nimsafe test: cannot open it: No such file or directory\n"),
	   "a message is one line with file, line and cause, escaped");
	free(line);
}

int main(void)
{
	test_escape();
	test_sizes();
	test_message();
	return tap_done();
}
