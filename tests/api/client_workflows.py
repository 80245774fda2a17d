"""The five workflows of the published examples, by the typed client. Arguments: two models."""

import sys

from openai import OpenAI

from foundrylocal.client import FoundryLocal

small, other = sys.argv[1:]
with FoundryLocal() as client:
    # 1. First time setup
    print(client.health().status, client.info().version)
    print([(model.simple_name, model.size, model.is_downloaded) for model in client.models.list().models][:3])
    client.models.download(small)
    print(client.start(small).endpoint, client.status().current_model)
    gateway = client.gateway()
    chats = OpenAI(base_url=gateway.base_url, api_key=gateway.api_key).chat.completions
    print(
        chats.create(model=gateway.model, messages=[{"role": "user", "content": "Hello!"}]).choices[0].message
    )
    # 2. Download a model with progress
    with client.models.download_stream(other) as download:
        print([event.message for event in download], download.result().file_size_bytes)
    # 3. Switch between models
    client.switch(other, options={"auto_download": True})
    print("now", client.status().current_model)
    # 4. Model management
    print(len([model for model in client.models.list().models if not model.is_downloaded]), "not downloaded")
    print("on disk", [model.simple_name for model in client.models.downloaded().models])
    print("freed", client.models.delete(small).freed_space_bytes)
    # 5. Monitoring and debugging
    print(next(client.follow_logs(tail=20)).source, len(client.logs(count=20, level="ERROR")), "errors")
