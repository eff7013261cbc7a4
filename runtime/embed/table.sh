#!/bin/sh
# table.sh BYTECODE FILE... writes an assembler file that holds the given files as they are, what they were compiled to
# (BYTECODE/FILE, where there is that), and the table embedded_files (embed.h) over them. NAME=PATH embeds a file of
# another place under the name NAME. The table is in the order of the names' bytes.
set -eu
bytecode=$1
shift
# shellcheck disable=SC2046 # no name has a space
set -- $(printf '%s\n' "$@" | LC_ALL=C sort -t = -k 1,1)
printf '.section .rodata\n'
number=0
for file; do
    number=$((number + 1))
    name=${file%%=*}
    printf 'name%d: .asciz "%s"\ntext%d: .incbin "%s"\ntext_end%d: .byte 0\n' $number "$name" $number "${file#*=}" $number
    if [ -e "$bytecode/$name" ]; then
        printf 'code%d: .incbin "%s"\ncode_end%d:\n' $number "$bytecode/$name" $number
    else
        printf 'code%d:\ncode_end%d:\n' $number $number
    fi
done
printf '.section .data.rel.ro, "aw"\n.balign 8\n.globl embedded_files\nembedded_files:\n'
count=$number
number=0
while [ $number -lt $count ]; do
    number=$((number + 1))
    printf '.quad name%d, text%d, text_end%d, code%d, code_end%d\n' $number $number $number $number $number
done
printf '.quad 0, 0, 0, 0, 0\n.section .note.GNU-stack, "", @progbits\n'
