/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/symbol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "core/event.h"
#include "model/session.h"

static const struct {
	const char *word;
	unsigned symbol;
} markers[] = {
	{ "@other", SYMBOL_OTHER },
	{ "@fork", SYMBOL_FORK },
	{ "@exec", SYMBOL_EXEC },
	{ "@reset", SYMBOL_RESET },
};

const char *symbol_word(enum syscall_arch arch, unsigned symbol, char *buffer, size_t size)
{
	const char *name;

	for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++)
		if (markers[i].symbol == symbol)
			return markers[i].word;
	name = syscall_name(arch, symbol);
	if (name)
		return name;
	snprintf(buffer, size, "%u", symbol);
	return buffer;
}

int symbol_by_word(enum syscall_arch arch, const char *word)
{
	unsigned long long number;
	int r;

	for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++)
		if (!strcmp(markers[i].word, word))
			return (int)markers[i].symbol;
	if (parse_uint(word, 0, SYMBOL_OTHER - 1, &number) == 0)
		return (int)number;
	r = syscall_by_name(arch, word);
	return r >= 0 && r < SYMBOL_OTHER ? r : -EINVAL;
}
