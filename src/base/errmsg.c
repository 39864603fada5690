/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/errmsg.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

int errmsg_set(struct errmsg *err, int error, const char *file, unsigned long line, const char *format, ...)
{
	va_list args;

	if (!err)
		return error;
	snprintf(err->file, sizeof(err->file), "%s", file ? file : "");
	err->line = line;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return error;
}

int errmsg_errno(struct errmsg *err, int error, const char *file, const char *what)
{
	return errmsg_set(err, error, file, 0, "%s: %s", what, strerror(error < 0 ? -error : error));
}

void errmsg_print(const struct errmsg *err, FILE *out, const char *program)
{
	char file[sizeof(err->file) * 4], text[sizeof(err->text) * 4];

	escape_text(file, sizeof(file), err->file);
	escape_text(text, sizeof(text), err->text);
	fprintf(out, "%s: ", program);
	if (*file && err->line)
		fprintf(out, "%s:%lu: ", file, err->line);
	else if (*file)
		fprintf(out, "%s: ", file);
	fprintf(out, "%s\n", text);
}

/* Decodes one well-formed UTF-8 sequence of 2 to 4 bytes; 0 if it is none. */
static size_t utf8_sequence(const unsigned char *s, uint32_t *ret_code)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *s >= 0xf0 && *s < 0xf5 ? 4 : *s >= 0xe0 && *s < 0xf0 ? 3 : *s >= 0xc2 && *s < 0xe0 ? 2 : 0;
	uint32_t code;

	if (!n)
		return 0;
	code = *s & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret_code = code;
	return n;
}

/* Harmless on a terminal: not C1, not a format or bidirectional control, not a line separator. */
static int code_is_plain(uint32_t code)
{
	return code >= 0xa0 && code != 0xad && code != 0x61c && !(code >= 0x200b && code <= 0x200f) &&
	       !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2060 && code <= 0x206f) && code != 0xfeff &&
	       !(code >= 0xfff9 && code <= 0xfffb) && !(code >= 0xe0000 && code <= 0xe0fff);
}

char *escape_text(char *dst, size_t size, const char *src)
{
	const unsigned char *s = (const unsigned char *)src;
	size_t at = 0;

	while (*s) {
		uint32_t code = 0;
		size_t n = utf8_sequence(s, &code);

		if (n && code_is_plain(code)) {
			if (at + n >= size)
				break;
			memcpy(dst + at, s, n);
			at += n;
			s += n;
		} else if (*s >= 0x20 && *s < 0x7f && *s != '\\') {
			if (at + 1 >= size)
				break;
			dst[at++] = (char)*s++;
		} else {
			if (at + 4 >= size)
				break;
			snprintf(dst + at, size - at, "\\x%02x", *s++);
			at += 4;
		}
	}
	if (size)
		dst[at] = '\0';
	return dst;
}
