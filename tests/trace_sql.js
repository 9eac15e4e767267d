// Gives requests to the official trace processor, in place of the page of the Perfetto UI: trace_sql.js FOLDER IN OUT
const fs = require('fs')
const path = require('path')
const vm = require('vm')

const [folder, input, output] = process.argv.slice(2)
class Files { // what a worker of a page has to read files from its server
  open (method, url) { this.bytes = fs.readFileSync(path.join(folder, path.basename(url))) }
  send () {}
  get response () { return this.bytes }
}
const context = vm.createContext({
  TextDecoder, TextEncoder, URL, performance, setTimeout, clearTimeout, queueMicrotask, crypto,
  console: { log () {}, warn () {}, error () {} },
  location: { href: 'http://localhost/engine_bundle.js' },
  WorkerGlobalScope () {},
  XMLHttpRequest: Files,
  importScripts () {}
})
vm.runInContext('self = globalThis', context)
vm.runInContext(fs.readFileSync(path.join(folder, 'engine_bundle.js'), 'utf8'), context)
const answers = []
const port = { postMessage: (bytes) => answers.push(Buffer.from(bytes)) }
context.onmessage({ data: port })
setImmediate(() => {
  const copied = vm.runInContext('(bytes) => Uint8Array.from(bytes)', context)(fs.readFileSync(input))
  port.onmessage({ data: copied })
  fs.writeFileSync(output, Buffer.concat(answers))
  process.exit(0)
})
