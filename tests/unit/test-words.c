/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/words.h"

#include <stdlib.h>
#include <string.h>

#include "../tap.h"

static void test_numbers(void)
{
	static const struct {
		uint64_t value;
		const char *grouped, *ordinal;
	} numbers[] = {
		{ 0, "0", "0th" }, { 1, "1", "1st" }, { 2, "2", "2nd" }, { 3, "3", "3rd" }, { 4, "4", "4th" },
		{ 11, "11", "11th" }, { 12, "12", "12th" }, { 13, "13", "13th" }, { 21, "21", "21st" }, { 112, "112", "112th" },
		{ 1000, "1 000", "1000th" }, { 2138411, "2 138 411", "2138411th" },
		{ UINT64_MAX, "18 446 744 073 709 551 615", "18446744073709551615th" },
	};
	char buffer[32];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		ok(!strcmp(words_grouped(numbers[i].value, buffer), numbers[i].grouped), "grouped: %s", numbers[i].grouped);
		ok(!strcmp(words_ordinal(numbers[i].value, buffer), numbers[i].ordinal), "ordinal: %s", numbers[i].ordinal);
	}
}

static void test_lost(void)
{
	char buffer[48];

	ok(!strcmp(words_lost(1, buffer), "1 call"), "one lost call");
	ok(!strcmp(words_lost(17000, buffer), "17 000 calls"), "several lost calls");
	ok(!strcmp(words_lost(0, buffer), "an unknown number of calls"), "nobody knows how many");
	ok(strlen(words_lost(UINT64_MAX, buffer)) < sizeof(buffer) - 1, "the most that can be lost fits");
}

static void test_columns(void)
{
	ok(words_columns("") == 0 && words_columns("abc") == 3 && words_columns("a\xe2\x80\xba") == 2, "a code point is a column");
	ok(words_bytes("abc", 2) == 2 && words_bytes("abc", 9) == 3 && words_bytes("abc", 0) == 0, "bytes of plain text");
	ok(words_bytes("\xe2\x80\xba\xe2\x80\xba", 1) == 3, "no code point is cut");
}

static void wraps(const char *text, unsigned column, unsigned width, const char *expected)
{
	char *lines = NULL;
	size_t size;
	FILE *out = open_memstream(&lines, &size);

	words_wrap(text, column, 2, width, out);
	fclose(out);
	ok(!strcmp(lines, expected), "wrapped: '%s'", text);
	free(lines);
}

static void test_wrap(void)
{
	wraps("", 0, 10, "\n");
	wraps("one two", 0, 7, "one two\n");
	wraps("one two", 0, 6, "one\n  two\n");
	wraps("one two three", 4, 9, "one\n  two\n  three\n");
	wraps("much-too-long word", 0, 5, "much-too-long\n  word\n");
	wraps("\xe2\x80\xba\xe2\x80\xba x", 0, 4, "\xe2\x80\xba\xe2\x80\xba x\n");
}

static void test_shell(void)
{
	char buffer[64];

	ok(!strcmp(words_shell("/usr/sbin/in.ftpd", buffer, sizeof(buffer)), "/usr/sbin/in.ftpd"), "a plain path stays");
	ok(!strcmp(words_shell("", buffer, sizeof(buffer)), "''"), "an empty word is a word");
	ok(!strcmp(words_shell("a b;c", buffer, sizeof(buffer)), "'a b;c'"), "the shell's characters are quoted");
	ok(!strcmp(words_shell("it's", buffer, sizeof(buffer)), "'it'\\''s'"), "and so is the quote");
	ok(!strcmp(words_shell("$(x)`y`\n", buffer, sizeof(buffer)), "'$(x)`y`\\x0a'"), "no control character comes through");
	words_shell("''''''''''''''''''''''''''''''''", buffer, 16);
	ok(strlen(buffer) < 16 && buffer[strlen(buffer) - 1] == '\'', "a word that is cut ends its quotes");
}

int main(void)
{
	test_numbers();
	test_lost();
	test_columns();
	test_wrap();
	test_shell();
	return tap_done();
}
