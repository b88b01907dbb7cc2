"""OrderDataFile and OrderDataFileDTO: files of an order as the REST side lists them (rest.md 5.7, 5.8)."""

from pydantic import ConfigDict, Field

from rs_order.contracts.wire import WireModel
from rs_order.domain.states import FileState


class OrderDataFile(WireModel):
    """A file of an order, in whatever state it is."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(description="The `dataFileId` of the downloads.", examples=[101])
    state: FileState = Field(examples=["AVAILABLE"])
    order_id: int = Field(alias="orderId", examples=[12])
    files_task_id: int = Field(alias="filesTaskId", description="Its sub-order.", examples=[31])
    ip_id: str = Field(
        alias="ipId",
        description="URN of the product, or of the dataset it is attached to.",
        examples=["URN:AIP:DATA:project1:77d75611-fac4-3047-8d3b-e0468fe1063e:V1"],
    )
    download_error: str | None = Field(
        None, alias="downloadError", description="Why it can't be had.", examples=["File not found"]
    )
    product_id: str | None = Field(None, alias="productId", examples=["Product_1"])
    version: int = Field(examples=[1])
    data_type: str = Field(alias="dataType", examples=["RAWDATA"])
    reference: bool = Field(description="Known by its URL only.", examples=[False])
    uri: str = Field(examples=["https://regards.example.org/api/v1/rs-catalog/downloads/p1.nc"])
    mime_type: str | None = Field(None, alias="mimeType", examples=["application/x-netcdf"])
    online: bool = Field(examples=[False])
    checksum: str | None = Field(None, examples=["241b5dffd6635f4de0cd2ff728f010c8"])
    digest_algorithm: str | None = Field(None, alias="digestAlgorithm", examples=["MD5"])
    filesize: int | None = Field(None, description="Bytes.", examples=[42000])
    filename: str = Field(examples=["p1.nc"])
    types: list[str] = Field(default=[], description="Always empty.", examples=[[]])


class OrderDataFileDTO(WireModel):
    """A file that can be downloaded now."""

    model_config = ConfigDict(populate_by_name=True)

    id: int = Field(description="The `dataFileId` of the downloads.", examples=[101])
    product_id: str | None = Field(None, alias="productId", examples=["Product_1"])
    version: int = Field(examples=[1])
    download_url: str = Field(
        alias="downloadUrl",
        examples=["https://regards.example.org/api/v1/rs-order/orders/files/101"],
    )
    mime_type: str | None = Field(None, alias="mimeType", examples=["application/x-netcdf"])
    checksum: str | None = Field(None, examples=["241b5dffd6635f4de0cd2ff728f010c8"])
    filesize: int | None = Field(None, description="Bytes.", examples=[42000])
    filename: str = Field(examples=["p1.nc"])
