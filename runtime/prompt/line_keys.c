/* Cuts what a terminal sends into keys; see line_keys.h. The shapes of sequences are those of ECMA-48, 5.4.
 */
#include "prompt/line_keys.h"

#include <string.h>

#define ESCAPE '\033'
#define PASTE_BEGINS "\033[200~"
#define PASTE_ENDS "\033[201~"
#define LARGEST_PASTE (1024 * 1024)

static bool is_whole(const char *key, size_t length) {
    if (key[0] != ESCAPE)
        return length >= text_character_length((unsigned char)key[0]);
    if (length < 2)
        return false;
    if (key[1] == '[')
        return length > 2 && key[length - 1] >= 0x40 && key[length - 1] <= 0x7e;
    if (key[1] == 'O')
        return length > 2;
    return length > text_character_length((unsigned char)key[1]);
}

/* Lines end with \n, and what would do something to the terminal is left out. */
static void clean_paste(text_buffer *pasted) {
    size_t kept = 0;
    for (size_t i = 0; i < pasted->length; i++) {
        unsigned char byte = (unsigned char)pasted->text[i];
        if (byte == '\r' && pasted->text[i + 1] == '\n')
            continue;
        if (byte == '\r')
            byte = '\n';
        if (byte >= 0x20 ? byte != 0x7f : byte == '\n' || byte == '\t')
            pasted->text[kept++] = (char)byte;
    }
    while (kept > 0 && pasted->text[kept - 1] == '\n')
        kept--;
    pasted->length = kept;
    if (pasted->text)
        pasted->text[kept] = '\0';
}

static key_state take_pasted(line_keys *keys, char byte) {
    static const size_t mark = sizeof PASTE_ENDS - 1;
    text_buffer *pasted = &keys->pasted;
    if (pasted->length ==
        LARGEST_PASTE + mark) { /* of what is too much, the last bytes: they may be the mark */
        memmove(pasted->text + LARGEST_PASTE, pasted->text + LARGEST_PASTE + 1, mark - 1);
        pasted->length--;
    }
    text_add(pasted, &byte, 1);
    if (pasted->length < mark || memcmp(pasted->text + pasted->length - mark, PASTE_ENDS, mark) != 0)
        return KEY_UNFINISHED;
    pasted->length -= mark;
    clean_paste(pasted);
    keys->pasting = false;
    return KEY_PASTED;
}

key_state line_keys_take(line_keys *keys, char byte) {
    if (keys->pasting)
        return take_pasted(keys, byte);
    if (keys->taken || keys->length + 1 == LINE_KEY_ROOM || (byte == ESCAPE && keys->length == 1))
        keys->length = 0; /* of ESC ESC, the second begins a key */
    keys->taken = false;
    keys->key[keys->length++] = byte;
    keys->key[keys->length] = '\0';
    if (!is_whole(keys->key, keys->length))
        return KEY_UNFINISHED;
    keys->taken = true;
    if (strcmp(keys->key, PASTE_BEGINS) != 0)
        return KEY_TYPED;
    keys->pasting = true;
    text_clear(&keys->pasted);
    return KEY_UNFINISHED;
}
