/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/errmsg.h"

const char *words_grouped(uint64_t value, char buffer[32])
{
	char digits[24];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, value), at = 0;

	for (size_t i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			buffer[at++] = ' ';
		buffer[at++] = digits[i];
	}
	buffer[at] = '\0';
	return buffer;
}

const char *words_ordinal(uint64_t value, char buffer[32])
{
	static const char *const ends[] = { "th", "st", "nd", "rd" };
	bool teen = value % 100 / 10 == 1;

	snprintf(buffer, 32, "%" PRIu64 "%s", value, ends[!teen && value % 10 < 4 ? value % 10 : 0]);
	return buffer;
}

const char *words_lost(uint64_t lost, char buffer[48])
{
	char number[32];

	snprintf(buffer, 48, "%s call%s", lost ? words_grouped(lost, number) : "an unknown number of", lost == 1 ? "" : "s");
	return buffer;
}

/* Within a code point, not its first byte. */
static bool goes_on(char byte)
{
	return (byte & 0xc0) == 0x80;
}

unsigned words_columns(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += !goes_on(*text);
	return n;
}

size_t words_bytes(const char *text, unsigned columns)
{
	size_t n = 0;

	for (; text[n] && columns; columns--)
		for (n++; goes_on(text[n]); n++)
			;
	return n;
}

/* Bytes of a word; "2 138 411" and "5 %" are one. */
static size_t word_length(const char *text)
{
	size_t n = strcspn(text, " ");

	while (n && text[n] == ' ' && isdigit((unsigned char)text[n - 1]) && (isdigit((unsigned char)text[n + 1]) || text[n + 1] == '%'))
		n += 1 + strcspn(text + n + 1, " ");
	return n;
}

void words_wrap(const char *text, unsigned column, unsigned indent, unsigned width, FILE *out)
{
	bool first = true;

	while (*text) {
		size_t n = word_length(text);
		unsigned columns = 0;

		for (size_t i = 0; i < n; i++)
			if (text[i] == '\033')
				i += strcspn(text + i, "m");
			else
				columns += !goes_on(text[i]);
		if (!first && column + 1 + columns > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!first) {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, n, out);
		column += columns;
		text += n + (text[n] == ' ');
		first = false;
	}
	fputc('\n', out);
}

char *words_shell(const char *text, char *buffer, size_t size)
{
	char escaped[4096];
	size_t at = 0;

	if (*text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:,@%") == strlen(text)) {
		snprintf(buffer, size, "%s", text);
		return buffer;
	}
	escape_text(escaped, sizeof(escaped), text);
	if (size > 3) {
		buffer[at++] = '\'';
		for (const char *c = escaped; *c && at + 6 < size; c++) {
			if (*c == '\'')
				at += (size_t)snprintf(buffer + at, size - at, "'\\''");
			else
				buffer[at++] = *c;
		}
		buffer[at++] = '\'';
	}
	buffer[size ? at : 0] = '\0';
	return buffer;
}
