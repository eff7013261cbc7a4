// Two clients of others for DigitalOcean's API, dots-wrapper and do-wrapper, against the server of $DIGITALOCEAN_API_URL.
const { createApiClient } = require('dots-wrapper')
const DigitalOcean = require('do-wrapper').default
const { call, refused, same } = require('./checks')

const url = process.env.DIGITALOCEAN_API_URL
const token = process.env.DO_API_TOKEN

const until = async (get, done) => {
    for (let result = await get(); ; result = await get()) {
        if (done(result)) return result
        await new Promise(resolve => setTimeout(resolve, 50))
    }
}

async function dots() {
    const api = createApiClient({ token, endpoint: url + '/v2' })
    const get = async (name, action) => (await call('dots-wrapper: ' + name, action) || { data: {} }).data
    same('dots-wrapper: the team', (await get('account', () => api.account.getAccount())).account.team.name, 'Meltano')
    const { ssh_keys: keys } = await get('keys', () => api.sshKey.listSshKeys({}))
    const { snapshots } = await get('snapshots', () => api.snapshot.listSnapshots({ resource_type: 'droplet' }))
    await get('regions', () => api.region.listRegions({}))
    await get('sizes', () => api.size.listSizes({}))
    await get('tag', () => api.tag.createTag({ name: 'production' }))
    const { droplet } = await get('create a droplet', () => api.droplet.createDroplet({
        name: 'dots.example.com', region: 'nyc3', size: 's-1vcpu-1gb', image: Number(snapshots[0].id),
        ssh_keys: [keys[0].id], tags: ['production'],
    }))
    const active = await until(async () => (await api.droplet.getDroplet({ droplet_id: droplet.id })).data.droplet,
        it => it.status === 'active')
    same('dots-wrapper: its address', active.networks.v4.length, 2)
    const { droplets } = await get('droplets by tag', () => api.droplet.listDroplets({ tag_name: 'production' }))
    same('dots-wrapper: one', droplets.map(it => it.name), ['dots.example.com'])
    const { action } = await get('power off', () => api.droplet.powerOffDroplet({ droplet_id: droplet.id }))
    await until(async () => (await api.action.getAction({ action_id: action.id })).data.action, it => it.status === 'completed')
    const { domain_record: record } = await get('a record', () => api.domain.createDomainRecord({
        domain_name: 'meltanodata.com', type: 'A', name: 'dots', data: '192.0.2.7', ttl: 60,
    }))
    await get('change it', () => api.domain.updateDomainRecord({
        domain_name: 'meltanodata.com', domain_record_id: record.id, name: 'dots2', type: 'A', data: '192.0.2.8',
    }))
    await get('records', () => api.domain.listDomainRecords({ domain_name: 'meltanodata.com' }))
    await get('delete it', () => api.domain.deleteDomainRecord({ domain_name: 'meltanodata.com', domain_record_id: record.id }))
    await get('projects', () => api.project.listProjects({}))
    await get('clusters', () => api.database.listDatabaseClusters({}))
    await get('delete the droplet', () => api.droplet.deleteDroplet({ droplet_id: droplet.id }))
    await refused('dots-wrapper: it is gone', 404, () => api.droplet.getDroplet({ droplet_id: droplet.id }))
    // To Prism a 501 means that it should make up an answer of its own.
    if (process.env.THROUGH === 'prism') return
    await refused('dots-wrapper: what is not imitated', 501, () => api.volume.listVolumes({}))
    await refused('dots-wrapper: nor this method', 501, () => api.droplet.deleteDropletsByTag({ tag_name: 'production' }))
}

async function wrapper() {
    const api = new DigitalOcean(token, 50)
    api.account.requestHelper.apiUrl = url + '/v2/' // which is no setting of this client, and the same for all its parts
    const get = (name, action) => call('do-wrapper: ' + name, action)
    same('do-wrapper: the team', (await get('account', () => api.account.get())).account.team.name, 'Meltano')
    await get('droplets', () => api.droplets.getAll('', true))
    await get('records', () => api.domains.getAllRecords('meltanodata.com', '', true))
    await get('keys', () => api.keys.getAll('', true))
    await get('regions', () => api.regions.getAll('', true))
}

dots().then(wrapper)
