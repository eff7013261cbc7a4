// 1Password's own client for Connect, against the server of $OP_CONNECT_HOST.
const { OnePasswordConnect, ItemBuilder } = require('@1password/connect')
const { call, refused, same } = require('./checks')

const connect = OnePasswordConnect({
    serverURL: process.env.OP_CONNECT_HOST, token: process.env.OP_CONNECT_TOKEN, keepAlive: false,
})

function order(title) {
    return new ItemBuilder().setCategory('LOGIN').setTitle(title)
        .addField({ label: 'username', purpose: 'USERNAME', value: 'ada' })
        .addField({ label: 'password', purpose: 'PASSWORD', generate: true, recipe: { length: 20, characterSets: ['LETTERS'] } })
        .addField({ label: 'note', value: 'in a section', sectionName: 'Instance' })
        .addUrl({ href: 'https://ada.example.com', primary: true }).addTag('instance').build()
}

async function main() {
    const vaults = await call('listVaults', () => connect.listVaults())
    same('listVaults: one', vaults.length, 1)
    const vault = await call('getVaultByTitle', () => connect.getVaultByTitle('meltanodata.com'))
    await call('getVaultById', () => connect.getVaultById(vault.id))
    same('listVaultsByTitle: none', await connect.listVaultsByTitle('no such'), [])

    const made = await call('createItem', () => connect.createItem(vault.id, order('ada.example.com')))
    same('createItem: its title', made.title, 'ada.example.com')
    same('createItem: every field has an id', made.fields.every(field => /^[\da-z]+$/.test(field.id)), true)
    const ids = made.fields.map(field => field.id)
    same('createItem: of its own', new Set(ids).size, ids.length)
    const password = made.fields.find(field => field.purpose === 'PASSWORD')
    same('createItem: a password by the recipe', /^[a-zA-Z]{20}$/.test(password.value), true)

    const found = await call('getItem by title', () => connect.getItem(vault.id, 'ada.example.com'))
    same('getItem: the same', found.id, made.id)
    same('getItem: the section', found.sections.map(section => section.label), ['Instance'])
    await call('createItem: another', () => connect.createItem(vault.id, order('grace.example.com')))
    const alike = await call('listItemsByTitleContains', () => connect.listItemsByTitleContains(vault.id, 'example'))
    same('listItemsByTitleContains: both', alike.map(item => item.title), ['ada.example.com', 'grace.example.com'])
    same('listItemsByTitleContains: one', (await connect.listItemsByTitleContains(vault.id, 'race')).length, 1)
    found.title = 'lovelace.example.com'
    const changed = await call('updateItem', () => connect.updateItem(vault.id, found))
    same('updateItem: the title', changed.title, 'lovelace.example.com')
    same('updateItem: the fields stay', changed.fields.map(field => field.id), ids)
    same('listFiles: none', await call('listFiles', () => connect.listFiles(vault.id, made.id)), [])
    await refused('getFileById: none', 404, () => connect.getFileById(vault.id, made.id, 'a'.repeat(26)))
    await call('deleteItem', () => connect.deleteItem(vault.id, made.id))
    await refused('getItemById: gone', 404, () => connect.getItemById(vault.id, made.id))
    await call('deleteItemByTitle', () => connect.deleteItemByTitle(vault.id, 'grace.example.com'))
    same('listItems: none is left', await connect.listItems(vault.id), [])
}

main()
